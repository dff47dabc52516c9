"""Configurations that Hydra composes, with the optimizer's class as ``_target_``: lightning-hydra-template and its kin.

Looked up: lightning-hydra-template, configs/, src/models/mnist_module.py and src/data/mnist_datamodule.py: its own data module
divides ``batch_size`` by the devices. Other data modules give it to each device, as Lightning does.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..rules import FieldError
from ._accounting import words
from ._classes import is_optimizer, read_class
from ._document import Document, Path, dotted, shown
from ._format import Format
from ._reading import Reading, as_number
from ._trainer import names_on, read_devices, read_schedules, read_trainer, tables
from ._vocabulary import OPTIMIZER_WORDS

BATCHES = ("batch_size", "train_batch_size", "batch_size_per_device", "per_device_batch_size", "batch_size_per_gpu",
           "local_batch_size", "micro_batch_size")
CLIPS = ("max_grad_norm", "gradient_clip_val", "grad_clip", "grad_clip_norm", "clip_grad_norm", "gradient_clipping", "max_norm")
TOTALS = ("global_batch_size", "total_batch_size", "effective_batch_size")
DATA = ("data", "datamodule", "data_module", "dataloader", "dataloaders", "loader", "dataset", "datasets")
COMPOSED = "give the composed one, which python train.py --cfg job prints and .hydra/config.yaml in a run's folder holds"
_ELSEWHERE = {"eval", "val", "valid", "validation", "test", "predict", "inference"}


def fits(document: Document) -> tuple[str, ...]:
    optimizers = _optimizers(document)
    if optimizers:
        return tuple(dotted((*path, "_target_")) for path in optimizers)
    trainer = document.get(("trainer", "_target_"))
    if isinstance(trainer, str) and trainer.rpartition(".")[2] == "Trainer":
        return ("trainer._target_",)
    parts = document.get(("defaults",))
    overrides = isinstance(parts, list) and any(isinstance(part, dict) and "override /model" in part for part in parts)
    return ("defaults",) if overrides else ()


def read(document: Document) -> Reading:
    reading = Reading(document, "PyTorch")
    if document.get(("defaults",)) is not None:
        if not _optimizers(document):
            raise FieldError("defaults", "other files", f"hold the optimizer: {COMPOSED}")
        reading.notes.append(f"defaults names other files, whose values are not here: {COMPOSED}.")
    _optimizer(reading)
    _batch(reading)
    if reading.table("trainer"):
        read_trainer(reading)
    clips = [path for path in _numbers(document) if path[-1] in CLIPS and path[0] != "trainer"]
    if len(clips) == 1 and reading.number(*clips[0]):
        reading.take("clip_norm", *clips[0])
    read_schedules(reading)
    return reading


def _optimizers(document: Document) -> list[Path]:
    """The tables whose ``_target_`` is an optimizer: by its class, or else by the table's name."""
    made = [(path, table["_target_"]) for path, table in tables(document.data) if isinstance(table.get("_target_"), str)]
    known = [path for path, target in made if is_optimizer(target)]
    named = [path for path, target in made if words(str(path[-1:])) & OPTIMIZER_WORDS and not target.endswith("Config")]
    return known or [path for path in named if "scheduler" not in names_on(path)]


def _optimizer(reading: Reading) -> None:
    places = _optimizers(reading.document)
    if len(places) > 1:
        raise FieldError("optimizer", ", ".join(map(shown, places))[:200], f"are {len(places)} optimizers, each with values of "
                         "its own: scale them one at a time, each from a file that has no other")
    if places:
        if reading.get(*places[0], "_args_"):
            raise FieldError(shown((*places[0], "_args_")), "a list", "holds arguments without names: write them by name")
        read_class(reading, (*places[0], "_target_"), places[0])
        return
    reading.ask("optimizer", "Which optimizer does your model make? The file does not say.", "adamw")
    reading.rate(*reading.first(("model", "lr"), ("model", "learning_rate")))
    if reading.has("model", "weight_decay"):
        reading.take("weight_decay", "model", "weight_decay")


def _batch(reading: Reading) -> None:
    counts = [path for path in _numbers(reading.document) if path[-1] in (*TOTALS, *BATCHES)]
    trained = [path for path in counts if not names_on(path) & _ELSEWHERE]
    reading.accounted |= set(counts) - set(trained)
    totals = [path for path in trained if path[-1] in TOTALS]
    loaded = [path for path in trained if path[-1] in BATCHES]
    loaded = [path for path in loaded if path[0] in DATA] or loaded
    if reading.table("trainer"):
        reading.count("accumulation", "trainer", "accumulate_grad_batches", default=1)
        read_devices(reading)
    if len(totals) == 1:
        reading.count("global_batch", *totals[0])
        reading.defaults.clear()
        if len(loaded) == 1 and loaded[0][-1] in ("local_batch_size", "micro_batch_size"):
            reading.count("per_device", *loaded[0])
    elif len(loaded) == 1 and reading.table("trainer"):
        _loaded(reading, loaded[0])
    else:
        reading.defaults.clear()
        seen = ", ".join(f"{shown(path)} = {reading.get(*path)}" for path in loaded[:3])
        reading.ask("batch_size", "How many samples does one optimizer step see, over all devices and accumulated passes?"
                    + (f" The file has {seen}." if seen else ""))


def _loaded(reading: Reading, place: Path) -> None:
    """The batch that the data module is given: of one device, as Lightning has it, or to be divided by the devices."""
    label, size, several = shown(place), reading.number(*place), reading.batch["devices"] != 1
    module = str(reading.get(*place[:-1], "_target_"))
    if module.startswith("src.") and module.endswith(".mnist_datamodule.MNISTDataModule"):
        reading.count("forward_batch", *place)
        reading.notes.append(f"{label} = {size:g} is of all devices, by which lightning-hydra-template's own data module divides "
                             "it; in a copy from before that came in, it is of one device: then give --batch.")
    elif several and place[-1] == "batch_size" and reading.has("task_name"):
        reading.ask("per_device", f"How many samples does one device take at a time? {label} = {size:g} is that, or is divided "
                    "by the devices, as lightning-hydra-template's own data module does.")
    else:
        reading.count("per_device", *place)
        if several:
            reading.notes.append(f"{label} = {size:g} is taken as the batch of one device, as Lightning has it: where your data "
                                 "module divides it by the devices, give --batch.")


def _numbers(document: Document) -> Iterator[Path]:
    """The places of all numbers."""
    for path, table in tables(document.data):
        for key, value in table.items():
            if not isinstance(value, bool) and isinstance(as_number(value), (int, float)):
                yield (*path, key)


FORMAT = Format("hydra", "Hydra with _target_", ("yaml", "json"), fits, read, over=("lightning", "hf"))
