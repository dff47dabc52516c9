"""fairseq's YAML (``fairseq-hydra-train``), which has the arguments of its commands in sections."""

from __future__ import annotations

from dataclasses import replace

from ._document import Document
from ._format import Signature
from ._reading import Reading
from ._table import Optimizer, Row
from ._view import with_numbers
from .fairseq import NAMES, SCHEDULES, read_batch, read_schedule, rows_at, steps_at
from .fairseq import TABLE as COMMANDS


def _more(reading: Reading) -> None:
    read_batch(reading, ("dataset",), ("optimization",))
    read_schedule(reading, ("lr_scheduler",), ("lr_scheduler", "_name"), ("optimization",))


def _view(document: Document) -> Document:
    return with_numbers(document, ("optimizer", "adam_betas"))


TABLE = replace(
    COMMANDS,
    key="fairseq_hydra",
    label="fairseq with Hydra",
    signature=Signature(
        ("optimization.lr", "optimization.max_update", "optimization.update_freq", "lr_scheduler._name", "criterion._name",
         "task._name", "dataset.max_tokens", "distributed_training.distributed_world_size"),
        least=3, needs=("optimizer._name",)),
    optimizer=Optimizer(("optimizer._name",), NAMES),
    rows=(*rows_at("optimizer.", "optimization.", "lr_scheduler.", "dataset."),
          Row("devices", ("distributed_training.distributed_world_size",)),
          Row("label_smoothing", ("criterion.label_smoothing",))),
    syntaxes=("yaml", "json"),
    schedule=("lr_scheduler._name", SCHEDULES),
    steps=steps_at("lr_scheduler."),
    more=_more,
    view=_view,
    irrelevant=("dataset.required_batch_size_multiple", "lr_scheduler.final_lr_scale", "lr_scheduler.init_lr_scale"),
)
FORMAT = TABLE.format
