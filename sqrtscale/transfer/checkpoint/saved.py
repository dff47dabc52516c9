"""A training that somebody saved: weights and optimizer state, in one file or in a folder of several, to go on from.

Plain torch files, Lightning's, what FSDP gathers, and the folders of the Trainer and of accelerate differ in where things lie;
what is looked for is known by its form: a table of tensors, the state dict of an optimizer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..optimizer_state import StateDict, is_state_dict
from ..other_libraries import in_torch_form
from .contents import AVERAGE, check_movable, find_contents
from .reading import place_text, read, refusal, walk
from .safetensors import read_safetensors

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
           "pytorch_model_fsdp.bin", "model.pt", "model.pth")
OPTIMIZERS = ("optimizer.pt", "optimizer.bin", "optimizer.pth")
PIECE = 2**24  # bytes


@dataclass(frozen=True)
class Table:
    """A table of tensors that may be a model's weights. average: its name says that it averages them."""

    where: str
    tensors: Mapping[str, Tensor]
    average: bool


@dataclass(frozen=True)
class SavedTraining:
    """form: who writes such a checkpoint; files: those that were read; optimizer: its state dict under torch's names.

    family: that wrote it, None where it does not tell; steps: of the training, where something beside the optimizer says them.
    """

    path: Path
    form: str
    files: tuple[Path, ...]
    tables: tuple[Table, ...]
    optimizer: StateDict
    family: str | None
    steps: int | None = None


def read_saved(path: Path) -> SavedTraining:
    """What a checkpoint holds, nothing in it run. Raises FieldError for one that no training can go on from."""
    return _folder(path) if path.is_dir() else _file(path)


def sha256(files: Sequence[Path]) -> str:
    """One hash of all these files; raises FieldError where one cannot be read."""
    whole = hashlib.sha256()
    for path in files:
        own = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    own.update(piece)
        except OSError as error:
            raise refusal(path, f"cannot be read: {error.strerror or error}") from error
        whole.update(own.digest())
    return whole.hexdigest()


def _file(path: Path) -> SavedTraining:
    if path.suffix == ".safetensors":
        raise refusal(path, "holds weights alone: give the folder with optimizer.pt beside them")
    if path.name.endswith("_optim_states.pt"):
        raise refusal(path, DEEPSPEED)
    content = read(path)
    form = "Lightning" if isinstance(content, dict) and "pytorch-lightning_version" in content else "PyTorch"
    state_dict, family = _optimizer(path, content)
    return SavedTraining(path, form, (path,), _tables(content), state_dict, family, _global_step(content))


DEEPSPEED = ("is a shard of DeepSpeed, which cuts weights and moments over its processes: save the whole state in one file, "
             "{model, optimizer}, from a run in which they are gathered")


def _folder(path: Path) -> SavedTraining:
    try:
        names = {file.name for file in path.iterdir()}
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror or error}") from error
    if any(name.endswith("_optim_states.pt") or name.startswith("global_step") or name == "zero_to_fp32.py" for name in names):
        raise refusal(path, DEEPSPEED)
    if any(name.endswith(".distcp") for name in names):
        raise refusal(path, "is a checkpoint in shards: put it into one file first, python -m "
                            "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE")
    weights = next((path / name for name in WEIGHTS if name in names), None)
    if weights is None:
        raise refusal(path, f"holds no weights: give a folder with one of {', '.join(WEIGHTS[:3])}")
    optimizer = next((path / name for name in OPTIMIZERS if name in names), None)
    if optimizer is None:
        raise refusal(path, f"holds no optimizer state: give a folder with {OPTIMIZERS[0]} beside the weights (the Trainer "
                            "writes it unless save_only_model is set)")
    files, tables = _weights(weights)
    state_dict, family = _optimizer(optimizer, read(optimizer))
    return SavedTraining(path, "Hugging Face folder", (*files, optimizer), tables, state_dict, family, _trainer_steps(path))


def _weights(path: Path) -> tuple[tuple[Path, ...], tuple[Table, ...]]:
    """The files of a folder's weights, also where they are several, and the tables in them."""
    if path.suffix != ".json":
        if path.suffix == ".safetensors":
            return (path,), (Table("", read_safetensors(path), False),)
        return (path,), _tables(read(path))
    try:
        names = sorted(set(json.loads(path.read_text())["weight_map"].values()))
        files = tuple(path.parent / name for name in names if name == Path(name).name and not name.endswith(".json"))
    except (OSError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise refusal(path, "does not say in which files the weights lie: give it as it was saved") from error
    tensors: dict[str, Tensor] = {}
    for file in files:
        for table in _weights(file)[1]:
            tensors |= table.tensors
    return files, (Table("", tensors, False),)


def _optimizer(path: Path, content: Any) -> tuple[StateDict, str | None]:
    """The one optimizer in a file under torch's names, and the family that wrote it, if it tells."""
    contents = find_contents(content)
    if contents.unknown_state or not contents.optimizers:
        check_movable(path, contents)
    if len(contents.optimizers) > 1:
        places = ", ".join(place_text(place) for place, _ in contents.optimizers)
        raise refusal(path, f"holds {len(contents.optimizers)} optimizers ({places[:80]}): save that of this model alone")
    ((_, state_dict),) = contents.optimizers
    if any("qmap1" in entry for entry in state_dict["state"].values() if isinstance(entry, Mapping)):
        raise refusal(path, "holds moments in 8 bits (bitsandbytes), which are not gone on from: train with those of 32 bits")
    form = in_torch_form(state_dict)
    if not any(form.state_dict["state"].values()) and form.family != "sgd":
        raise refusal(path, "holds an optimizer that has made no step: save one that has trained")
    return form.state_dict, form.family


def _tables(content: Any) -> tuple[Table, ...]:
    """Every table of named tensors outside of optimizers."""
    tables = []
    for place, value in walk(content, descend=lambda value: not is_state_dict(value)):
        if isinstance(value, dict) and not is_state_dict(value) and all(isinstance(name, str) for name in value):
            tensors = {name: tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
            if tensors:
                average = any(isinstance(key, str) and AVERAGE.search(key) for key in place)
                tables.append(Table(place_text(place), tensors, average))
    return tuple(tables)


def _global_step(content: Any) -> int | None:
    step = content.get("global_step") if isinstance(content, dict) else None
    return step if type(step) is int and step >= 0 else None


def _trainer_steps(folder: Path) -> int | None:
    """What trainer_state.json says, if it is there."""
    try:
        return _global_step(json.loads((folder / "trainer_state.json").read_text()))
    except (OSError, ValueError):
        return None
