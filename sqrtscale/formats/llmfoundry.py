"""llm-foundry's YAML, and that of other trainings with Composer.

Looked up: llm-foundry, llmfoundry/command_utils/train.py, utils/config_utils.py, optim/__init__.py and utils/builders.py;
Composer, optim/decoupled_weight_decay.py, optim/scheduler.py, core/time.py and algorithms/. ``global_train_batch_size`` is
global. Of the units of time only "ba", batches, counts optimizer steps; epochs, samples, tokens and shares of the run stay.
"""

from __future__ import annotations

import re

from ..rules import FieldError
from ._document import Document
from ._format import Signature, path_of
from ._reading import STEPS, Reading, as_number
from ._references import followed
from ._table import Optimizer, Row, Table
from ._view import with_units

SCHEDULES = {
    "cosine_with_warmup": "cosine",
    "linear_decay_with_warmup": "linear",
    "constant_with_warmup": "constant",
    "inv_sqrt_with_warmup": "inverse-sqrt",
}
COUNTED = {
    "total_steps": "max_duration",
    "warmup_steps": "scheduler.t_warmup",
    "eval_interval": "eval_interval",
    "checkpoint_interval": "save_interval",
    "log_interval": "console_log_interval",
}
_SHARE = re.compile(r"(0?\.[0-9]{1,18})dur")


def _view(document: Document) -> Document:
    return with_units(document, "ba")


def _more(reading: Reading) -> None:
    _times(reading)
    micro = as_number(reading.get("device_train_microbatch_size"))
    if isinstance(micro, int):  # not "auto", and not a part of a sample
        reading.count("per_device", "device_train_microbatch_size")
    if reading.has("algorithms", "gradient_clipping"):
        kind = reading.text("algorithms", "gradient_clipping", "clipping_type", default="norm")
        if kind == "norm":
            reading.take("clip_norm", "algorithms", "gradient_clipping", "clipping_threshold")
        else:
            reading.accounted.add(("algorithms", "gradient_clipping", "clipping_threshold"))
            reading.notes.append(f"gradient_clipping clips by {kind}: "
                                 + ("elements of the gradient fall like its norm, by 1 / sqrt(kappa); it is not changed."
                                    if kind == "value" else "it is relative to the weights, and stays."))
    if reading.has("algorithms", "ema", "smoothing"):
        reading.take("ema_decay", "algorithms", "ema", "smoothing")
    if reading.switch("optimizer", "amsgrad"):
        raise FieldError("optimizer.amsgrad", True, "is not covered for DecoupledAdamW: set it to false")
    groups = reading.get("optimizer", "param_groups")
    for i, group in enumerate(groups if isinstance(groups, list) else ()):
        for name in group if isinstance(group, dict) else ():
            if name in ("lr", "weight_decay"):
                reading.along(name, "optimizer", "param_groups", i, name)
            elif name in ("betas", "eps"):
                raise FieldError(f"optimizer.param_groups[{i}].{name}", group[name], "is of one group alone: scale a file that "
                                 "has the values of that group for all")


def _times(reading: Reading) -> None:
    """The fields of the run that are counted in batches, and every other number of batches."""
    batches = reading.document.view.origins if reading.document.view else {}
    for name, path in COUNTED.items():
        place = followed(reading.document, path_of(path))
        if place in batches and reading.number(*place):
            reading.take(name, *place)
    placed = set(reading.places.values())
    for place in batches:
        if place not in placed:
            reading.along(STEPS, *place)
    place = followed(reading.document, ("scheduler", "t_warmup"))
    share = _SHARE.fullmatch(str(reading.get(*place)))
    if share:
        reading.run["warmup_fraction"] = float(share[1])
        reading.places["warmup_fraction"] = place


TABLE = Table(
    key="llmfoundry",
    label="llm-foundry (Composer)",
    signature=Signature(
        ("global_train_batch_size", "device_train_microbatch_size", "max_duration", "scheduler.t_warmup", "scheduler.alpha_f",
         "fsdp_config", "train_loader.name", "eval_subset_num_batches", "console_log_interval", "algorithms.gradient_clipping"),
        least=4, needs=("optimizer.name", "scheduler.name"), never=("optimizer.learning_rate", "optimizer._target_", "data")),
    optimizer=Optimizer(("optimizer.name",), {"decoupled_adamw": "composer_adamw"}),
    rows=(
        Row("lr", ("optimizer.lr",)),
        Row("beta1", ("optimizer.betas.0",)),
        Row("beta2", ("optimizer.betas.1",)),
        Row("eps", ("optimizer.eps",)),
        Row("weight_decay", ("optimizer.weight_decay",)),
        Row("global_batch", ("global_train_batch_size",)),
    ),
    syntaxes=("yaml", "json"),
    schedule=("scheduler.name", SCHEDULES),
    parallel=("tp_config.tensor_parallel_degree",),
    more=_more,
    view=_view,
    irrelevant=("callbacks.scheduled_gc.batch_interval", "icl_tasks.*.batch_size"),
)
FORMAT = TABLE.format
