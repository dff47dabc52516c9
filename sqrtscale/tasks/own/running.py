"""The user's file at work, in the process that trains: its modules, its samples, and its loss as a network.

A batch of such a task is places in the data and seeds of their chance, ``Batch((places, seeds), ())``; the samples are loaded
when a pass needs them, so that any collate and data larger than memory will do.
"""

from __future__ import annotations

import linecache
import math
import sys
import time
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ...rules import FieldError
from .._batch import Batch
from .._task import Data
from ..module import ModuleNetwork
from .checkpoint import Group
from .errors import users_code
from .file import OwnFile
from .grouping import read_groups
from .loading import Ahead, Loader, Ticket, seed_all, seeded
from .reading import NEEDED, OPTIONAL, Source
from .returned import count_of, loss_of, metrics_of, tensors_of

SPLITS = ("train", "validation")
MEASURED = 2048  # samples of each of the two fixed sets, spread evenly over larger data
KEPT_BYTES = 2**28  # of batches that several models of one seed read one after another
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
ON_DEVICE = 2**31  # bytes of tensors that are kept on the device


class Running:
    """The imported file and what it has made so far. Its own random numbers never depend on what was drawn before."""

    def __init__(self, file: OwnFile, source: Source):
        self.file, self.source = file, source
        self._kept: OrderedDict[tuple[str, bytes, bytes], Any] = OrderedDict()
        self._kept_bytes = 0
        self._placed: dict[tuple[str, str], Any] = {}
        self._lengths: dict[str, int] = {}
        self.loaded_samples, self.loading_seconds = 0, 0.0  # of data with __getitem__: what steps have waited for

    def call(self, function: str, *arguments: Any) -> Any:
        """What a function of the file returns; raises OwnTaskError for what it raises."""
        with users_code(self.file.path):
            return self._module.__dict__[function](*arguments)

    @cached_property
    def _module(self) -> types.ModuleType:
        """The file, run from the text that was stored: it may have changed on the disk since."""
        path, text = self.file.path, self.file.text
        module = types.ModuleType(f"own_task_{self.file.name.replace('-', '_')}")
        module.__file__ = path
        sys.modules[module.__name__] = module
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        sys.path.append(str(Path(path).parent))  # last: a file beside it must not pass for a library
        with users_code(path), seeded(0):
            exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)
        for function in self.source.functions & {*NEEDED, *OPTIONAL}:
            if not callable(module.__dict__.get(function)):
                raise FieldError("task", path, f"deletes or replaces its function {function}: keep it a function")
        return module

    @cached_property
    def _datasets(self) -> dict[str, Any]:
        datasets = {}
        for split in SPLITS:
            with seeded(0):  # the same for both, so that a random split is one
                datasets[split] = self.call("data", split)
            if self._count(datasets[split], split) == 0:
                raise FieldError("data", split, "has no samples: check the folder or file that data(split) reads")
        return datasets

    @cached_property
    def _loaders(self) -> dict[str, Loader]:
        return {split: Loader(dataset, self.file.path, self.source.workers) for split, dataset in self._datasets.items()}

    @property
    def loads(self) -> bool:
        """Whether workers load the training samples, which they can do ahead."""
        return self.source.workers > 0 and tensors_of(self._datasets["train"]) is None

    def ahead(self) -> Ahead:
        """What loads the training batches of a population ahead."""
        return Ahead(self._loaders["train"])

    def _count(self, dataset: Any, split: str) -> int:
        with users_code(self.file.path):
            return count_of(dataset, split)

    def length(self, split: str) -> int:
        """How many samples a split has; counted once, because every batch asks."""
        if split not in self._lengths:
            self._lengths[split] = self._count(self._datasets[split], split)
        return self._lengths[split]

    @property
    def collates(self) -> bool:
        """Whether a function ``collate`` of the file is called: not where data are tensors, which are batches as they are."""
        return "collate" in self.source.functions and tensors_of(self._datasets["train"]) is None

    def model(self, seed: int) -> nn.Module:
        """A fresh module as it starts from that seed."""
        with seeded(seed):
            made = self.call("model")
        if not isinstance(made, nn.Module):
            raise FieldError("model()", type(made).__name__, "is no torch.nn.Module: return one")
        for name, parameter in made.named_parameters():
            if parameter.requires_grad and parameter.dtype != torch.float32:
                raise FieldError(name, parameter.dtype, "is trained in another precision: keep it in float32, and set "
                                                        'PRECISION = "bf16" or "fp16" for autocast')
            if nn.parameter.is_lazy(parameter):
                raise FieldError(name, "lazy", "has no shape before a batch has gone through it: pass one through in model(), or "
                                               "give the layer its number of inputs")
        if not any(parameter.requires_grad for parameter in made.parameters()):
            raise FieldError("model()", type(made).__name__, "has no parameter that requires a gradient: leave some trainable")
        return made

    def groups(self) -> list[Group]:
        """The parameter groups of the file, none where it has no GROUPS."""
        if "GROUPS" not in self.source.functions:
            return []
        made = self.model(0)
        return read_groups(self.call("GROUPS", made), made)

    def batch(self, places: Tensor, seeds: Tensor, device: torch.device, ahead: Ahead | None = None) -> Any:
        """The samples at those places, collated, on the device: what the user's loss gets.

        Places from the length of the training data on are those of the validation data. ahead: what may have loaded them already.
        """
        train = self.length("train")
        split = "train" if int(places[0]) < train else "validation"
        wanted = places - train if split == "validation" else places
        dataset = self._datasets[split]
        if tensors_of(dataset) is not None:
            return _mapped(lambda x: x[wanted.to(x.device)].to(device), self._on_device(split, device))
        key = str(device), places.cpu().numpy().tobytes(), seeds.cpu().numpy().tobytes()
        if key not in self._kept:
            loader = ahead if ahead and split == "train" else self._loaders[split]
            self._keep(key, _mapped(lambda x: x.to(device), self._loaded(loader, tickets(wanted, seeds))))
        self._kept.move_to_end(key)
        return _mapped(Tensor.clone, self._kept[key])  # a loss may change what it gets

    def _on_device(self, split: str, device: torch.device) -> Any:
        key = split, str(device)
        if key not in self._placed:
            dataset = self._datasets[split]
            small = sum(tensor.nbytes for tensor in (tensors_of(dataset) or {}).values()) <= ON_DEVICE
            self._placed[key] = _mapped(lambda x: x.to(device), dataset) if small else dataset
        return self._placed[key]

    def _loaded(self, loader: Loader | Ahead, wanted: Sequence[Ticket]) -> Any:
        began = time.perf_counter()
        with seeded(0), users_code(self.file.path):
            samples = loader.read(wanted)
            seed_all(sum(seed for _, seed in wanted) % 2**62)
            batch = self._module.__dict__["collate"](samples) if "collate" in self.source.functions else default_collate(samples)
        self.loaded_samples += len(wanted)
        self.loading_seconds += time.perf_counter() - began
        return batch

    def _keep(self, key: tuple[str, bytes, bytes], batch: Any) -> None:
        self._kept[key] = batch
        self._kept_bytes += _bytes(batch)
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= _bytes(self._kept.popitem(last=False)[1])

    @cached_property
    def largest_output(self) -> tuple[int, int]:
        """Places and numbers in each of a sample in the model's largest layer, by one pass on a few samples."""
        count = min(self.source.micro or 2, self.length("train"))
        model, sizes = self.model(0).eval(), [(1, 1)]

        def note(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() > 1:
                places = math.prod(output.shape[2:] if output.dim() > 3 else output.shape[1:-1])
                sizes.append((max(places, 1), max(output.numel() // (count * max(places, 1)), 1)))

        for part in model.modules():
            part.register_forward_hook(note)
        places = torch.arange(count)
        with torch.no_grad(), seeded(0):
            self.call("loss", model, self.batch(places, places, torch.device("cpu")))
        return max(sizes, key=math.prod)


class OwnNetwork(ModuleNetwork):
    """The user's module with its loss: a pass gives the mean loss of a batch, in evaluation the user's metrics as well."""

    per_sample = False
    recordable = False

    def __init__(self, running: Running, groups: Sequence[Group] = ()):
        self.running = running
        self.scaled = running.source.precision == "fp16"
        self.groups = {name: group.name for group in groups for name in group.parameters}
        length, width = running.largest_output
        super().__init__(lambda: running.model(0), lambda loss, targets: loss, length=length, width=width)
        self._last: tuple[int, nn.Module] | None = None
        self._ahead, self.loads = running.ahead(), running.loads

    @cached_property
    def module(self) -> nn.Module:
        """Another one than those whose weights a start is made of."""
        return self.running.model(0)

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Any, buffers: Mapping[str, Tensor], training: bool) -> Any:
        device = next(iter(parameters.values())).device
        places, seeds = inputs
        batch = self.running.batch(places, seeds, device, self._ahead)
        self._put({**parameters, **buffers}, training)
        count = len(places)
        half = HALF.get(self.running.source.precision)
        with torch.autocast(device.type, half, enabled=half is not None):
            loss = loss_of(self.running.call("loss", self.module, batch))
            if not training:
                return {name: value.expand(count) for name, value in ({"loss": loss} | self._metrics(batch)).items()}
        self._take_back(buffers)
        return loss.reshape(1)

    def expect(self, inputs: Iterable[Any]) -> None:
        self._ahead.expect(tickets(*places_and_seeds) for places_and_seeds in inputs)

    def _metrics(self, batch: Any) -> dict[str, Tensor]:
        if "metrics" not in self.running.source.functions:
            return {}
        return metrics_of(self.running.call("metrics", self.module, batch))

    def losses(self, predictions: Any, targets: Any) -> Tensor:
        loss: Tensor = predictions["loss"] if isinstance(predictions, Mapping) else predictions
        return loss

    def measures(self, predictions: Any, targets: Any) -> dict[str, Tensor]:
        """What the evaluating pass gave, the mean for every sample."""
        return dict(predictions)

    def _made(self, seed: int) -> nn.Module:
        """One module for parameters, buffers and frozen parts of a seed, in which nothing is put."""
        if self._last is None or self._last[0] != seed:
            self._last = seed, self.running.model(seed)
        return self._last[1]


class OwnData(Data):
    """Places in the user's data, drawn with replacement, each with a seed for the chance of its sample."""

    def __init__(self, running: Running, device: torch.device):
        self.device = device
        self.count, validation = (running.length(split) for split in SPLITS)
        self.train_sample = self._fixed(0, self.count)
        self.validation = self._fixed(self.count, validation)

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        places = torch.randint(self.count, (count,), generator=generator)
        return Batch((self.placed(places), self.placed(torch.randint(2**62, (count,), generator=generator))), ())

    def _fixed(self, first: int, count: int) -> Batch:
        places = first + torch.arange(min(count, MEASURED)) * count // min(count, MEASURED)
        return Batch((self.placed(places), self.placed(places)), ())


def tickets(places: Tensor, seeds: Tensor) -> list[Ticket]:
    """What a loader is asked for."""
    return list(zip(places.tolist(), seeds.tolist(), strict=True))


def _mapped(change: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """A batch of any form with every tensor changed; what is no tensor stays."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        values = {name: _mapped(change, branch) for name, branch in tree.items()}
        return values if type(tree) is dict else _same_kind(tree, values)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_mapped(change, branch) for branch in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(_mapped(change, branch) for branch in tree)
    return tree


def _same_kind(tree: Mapping[str, Any], values: dict[str, Any]) -> Any:
    """A mapping of the user's own kind (a tokenizer's BatchEncoding) with other values; a dictionary where it cannot be made."""
    try:
        return type(tree)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _bytes(tree: Any) -> int:
    sizes: list[int] = []
    _mapped(lambda x: (sizes.append(x.nbytes), x)[1], tree)  # type: ignore[func-returns-value]
    return sum(sizes)
