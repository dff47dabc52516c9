"""OLMo-core's config.json, which its trainer saves of a run.

Looked up: OLMo-core, src/olmo_core/optim/*.py, optim/scheduler.py, train/train_module/transformer/config.py and
data/data_loader.py: ``global_batch_size`` and ``rank_microbatch_size`` are in tokens. The optimizer stood at the top before
version 2.
"""

from __future__ import annotations

from ..rules import FieldError, ParameterGroup
from ._document import Path
from ._format import Signature
from ._reading import STEPS, Reading, as_number
from ._table import Note, Optimizer, Row, Table

_NAMES = {"adamw": "adamw", "skip_step_adamw": "adamw", "adam": "adam"}
_CLASSES = {"adamwconfig": "adamw", "skipstepadamwconfig": "adamw", "adamconfig": "adam"}
_GROUP_FIELDS = {"lr": ("lr",), "eps": ("eps",), "weight_decay": ("weight_decay",), "beta1": ("betas", 0), "beta2": ("betas", 1)}


def _at(*names: str) -> tuple[str, ...]:
    """A name of the optimizer's table, where it stands now and where it stood."""
    return tuple(f"{place}.{name}" for name in names for place in ("train_module.optim", "optim"))


def _schedule(*names: str) -> tuple[str, ...]:
    places = ("train_module.scheduler", "trainer.callbacks.lr_scheduler.scheduler")
    return tuple(f"{place}.{name}" for name in names for place in places)


def _more(reading: Reading) -> None:
    for place in (("train_module", "optim", "group_overrides"), ("optim", "group_overrides")):
        groups = reading.get(*place)
        for i in range(len(groups) if isinstance(groups, list) else 0):
            _group(reading, (*place, i))
    _lengths(reading)
    _callbacks(reading)


def _group(reading: Reading, place: Path) -> None:
    """A group of parameters with values of its own."""
    values = {name: as_number(reading.get(*place, "opts", *path)) for name, path in _GROUP_FIELDS.items()}
    values = {name: value for name, value in values.items() if value is not None}
    if values:
        patterns = reading.get(*place, "params")
        name = ", ".join(map(str, patterns)) if isinstance(patterns, list) else f"group {place[-1]}"
        reading.groups.append(ParameterGroup(name[:60], values))
        reading.group_places.append({name: (*place, "opts", *_GROUP_FIELDS[name]) for name in values})


def _lengths(reading: Reading) -> None:
    """What counts steps and not tokens."""
    if reading.get("trainer", "max_duration", "unit") == "steps":
        reading.take("total_steps", "trainer", "max_duration", "value")
    if reading.get("trainer", "hard_stop", "unit") == "steps":
        reading.along(STEPS, "trainer", "hard_stop", "value")
    for place in (("train_module", "scheduler"), ("trainer", "callbacks", "lr_scheduler", "scheduler")):
        if reading.get(*place, "units") in (None, "steps"):
            for name in ("warmup", "warmup_steps"):
                if reading.number(*place, name):
                    reading.take("warmup_steps", *place, name)
            for name in ("decay", "decay_steps", "t_max"):
                reading.along(STEPS, *place, name)


def _callbacks(reading: Reading) -> None:
    """Intervals; raises FieldError for the callback that changes the batch during the run."""
    for name in reading.table("trainer", "callbacks"):
        place = ("trainer", "callbacks", name)
        sizes = reading.get(*place, "batch_sizes")
        if sizes and reading.get(*place, "enabled") is not False:
            raise FieldError(f"trainer.callbacks.{name}.batch_sizes", sizes, "changes the batch, and lr by its root, in the "
                             "middle of the run: give one stage at a time, without this callback")
        for key in ("save_interval", "ephemeral_save_interval", "eval_interval"):
            reading.along(STEPS, *place, key)


TABLE = Table(
    key="olmo_core",
    label="OLMo-core",
    signature=Signature(
        ("train_module.optim", "train_module.rank_microbatch_size", "data_loader.global_batch_size", "trainer.save_folder",
         "trainer.max_duration", "trainer.callbacks", "train_module.dp_config", "dataset", "optim",
         "trainer.rank_microbatch_size"),
        least=4, needs=("data_loader", "trainer")),
    optimizer=Optimizer(_at("type", "_CLASS_"), {**_NAMES, **_CLASSES}, last=True),
    rows=(
        Row("lr", _at("lr")),
        Row("beta1", _at("betas.0"), 0.9),
        Row("beta2", _at("betas.1"), 0.999),
        Row("eps", _at("eps"), 1e-8),
        Row("weight_decay", _at("weight_decay")),
        Row("clip_norm", ("train_module.max_grad_norm", "trainer.callbacks.grad_clipper.max_grad_norm")),
        Row("warmup_fraction", _schedule("warmup_fraction")),
        Row("per_device", ("train_module.rank_microbatch_size", "trainer.rank_microbatch_size")),
        Row("global_batch", ("data_loader.global_batch_size",)),
        Row("log_interval", ("trainer.metrics_collect_interval",)),
    ),
    syntaxes=("json", "yaml"),
    schedule=("train_module.scheduler.type", {
        "cos_with_warmup": "cosine", "linear_with_warmup": "linear", "wsd": "wsd", "constant": "constant",
        "constant_with_warmup": "constant", "inv_sqrt_with_warmup": "inverse-sqrt"}),
    along={**dict.fromkeys(_schedule("warmup_min_lr", "decay_min_lr"), "lr")},
    notes=(Note("train_module.optim.step_increment_bugfix", "step_increment_bugfix is false: the optimizer corrects no bias, and "
                "its step is 2.2 times as large as lr says.", lambda value: value is False),),
    remarks=("Batches are counted in tokens here: give the target in tokens as well.",),
    more=_more,
    over=("lightning",),
    irrelevant=("model.*norm.eps", "trainer.callbacks.profiler.warmup",
                *_schedule("warmup", "warmup_steps", "decay", "decay_steps", "decay_fraction")),
)
FORMAT = TABLE.format
