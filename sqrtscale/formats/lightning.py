"""Lightning CLI YAML. What lies under model and data has the names that the user's classes give it.

Fields: Lightning, docs/source-pytorch/cli and src/lightning/pytorch/trainer/trainer.py.
"""

from __future__ import annotations

from ..rules import FAMILIES
from ..rules.errors import whole
from ._document import Document, Path
from ._format import Format, Signature
from ._optimizers import covered
from ._reading import AUTO, Reading, as_number
from .hf import interval
from .param_groups import PLACES

NAMES = {
    name.lower(): found.name
    for found in FAMILIES.values()
    if found.library == "pytorch"
    for name in [found.call.rpartition(".")[2]]
    if not found.options
}
OPTIMIZERS: tuple[Path, ...] = (("optimizer",), ("model", "init_args", "optimizer"), ("model", "optimizer"))
MODELS: tuple[Path, ...] = (("model", "init_args"), ("model",))
DATA: tuple[Path, ...] = (("data", "init_args"), ("data",), ("model", "init_args"), ("model",))
RATES = ("lr", "learning_rate")
BATCHES = ("batch_size", "train_batch_size", "per_device_batch_size")


_OTHERS = (
    "trainer._target_",
    "model.optim",
    "exp_manager",
    "trainer.train_batch_size",
    "trainer.num_train_steps",
    "trainer.n_gpus_per_node",
    "trainer.total_epochs",
    "actor_rollout_ref",
)
_TRAINER = Signature(
    tuple(
        f"trainer.{key}"
        for key in (
            "max_epochs",
            "max_steps",
            "accelerator",
            "devices",
            "strategy",
            "precision",
            "accumulate_grad_batches",
            "gradient_clip_val",
            "callbacks",
            "logger",
            "log_every_n_steps",
            "val_check_interval",
            "num_nodes",
            "default_root_dir",
            "check_val_every_n_epoch",
            "min_epochs",
            "enable_checkpointing",
            "num_sanity_val_steps",
            "deterministic",
            "benchmark",
        )
    ),
    least=1,
    never=_OTHERS,
)
_CLI = Signature(("model", "data", "optimizer", "lr_scheduler", "seed_everything", "ckpt_path"), least=1)


def fits(document: Document) -> tuple[str, ...]:
    trainer, rest = _TRAINER(document), _CLI(document)
    return (*trainer, *rest) if trainer and rest else ()


def read(document: Document) -> Reading:
    reading = Reading(document, "Lightning and PyTorch")
    reading.table("trainer")
    _optimizer(reading)
    _batch(reading)
    _trainer(reading)
    if reading.get("lr_scheduler") is not None:
        reading.notes.append(
            "lr_scheduler: arguments that count steps (T_max, milestones ...) are not read, since they may "
            "count epochs: divide steps by kappa."
        )
    return reading


def _optimizer(reading: Reading) -> None:
    where = next((path for path in OPTIMIZERS if isinstance(reading.get(*path), dict)), None)
    if where is None:
        _from_the_model(reading)
        return
    arguments = where
    if reading.get(*where, "class_path") is not None:
        call = reading.text(*where, "class_path")
        reading.places["optimizer"] = (*where, "class_path")
        reading.chosen(covered(".".join((*where, "class_path")), call.rpartition(".")[2], NAMES))
        arguments = (*where, "init_args")
        if reading.switch(*arguments, "amsgrad") and reading.optimizer == "adam":
            reading.chosen("amsgrad")
        if reading.switch(*arguments, "centered") and reading.optimizer == "rmsprop":
            reading.chosen("rmsprop_centered")
    else:
        reading.ask("optimizer", "Which optimizer does your program fix? The file has only its arguments.", "adamw")
    fields = FAMILIES[reading.optimizer].fields if reading.optimizer else ()
    for name, path in PLACES.items():
        if name == "lr":
            reading.rate(*arguments, *path)
        elif name in fields or (not fields and path[0] in reading.table(*arguments)):
            reading.take(name, *arguments, *path)


def _from_the_model(reading: Reading) -> None:
    """lr among the model's own arguments: the optimizer is in its code."""
    reading.ask("optimizer", "Which optimizer does your model make? The file does not say.", "adamw")
    for model in MODELS:
        table = reading.get(*model)
        rate = next((key for key in RATES if isinstance(table, dict) and table.get(key) is not None), None)
        if rate is not None:
            for name, path in (PLACES | {"lr": (rate,)}).items():
                if table.get(path[0]) is not None and name not in ("momentum", "alpha", "momentum_decay"):
                    reading.take(name, *model, *path)
            reading.notes.append(
                f"{'.'.join((*model, rate))} is an argument of your model: that it is the learning rate is a guess by its name."
            )
            return
    reading.ask("lr", "Which learning rate does your model give its optimizer? The file does not say.")


def _batch(reading: Reading) -> None:
    place = next(((*path, key) for path in DATA for key in BATCHES if reading.document.has((*path, key))), None)
    if place is None:
        reading.ask("per_device", "How many samples does your data loader give one device at a time? The file does not say.")
    else:
        reading.count("per_device", *place)
    reading.count("accumulation", "trainer", "accumulate_grad_batches", default=1)
    nodes = whole("trainer.num_nodes", reading.number("trainer", "num_nodes") or 1, 1, 2)
    devices = reading.get("trainer", "devices")
    if isinstance(devices, list):
        reading.batch["devices"] = len(devices) * nodes
    elif isinstance(devices, int) and not isinstance(devices, bool) and devices > 0:
        reading.count("devices", "trainer", "devices")
        reading.batch["devices"] = devices * nodes
        if nodes > 1:
            del reading.places["devices"]
    elif devices not in (None, AUTO, -1, "-1"):
        text = reading.text("trainer", "devices")
        count = len([one for one in text.split(",") if one.strip()]) if "," in text else as_number(text)
        reading.batch["devices"] = whole("trainer.devices", count, 1, 8) * nodes
    strategy = reading.get("trainer", "strategy")
    if isinstance(strategy, dict) and "ModelParallel" in str(strategy.get("class_path")):
        reading.notes.append("ModelParallelStrategy: devices that share one copy of the model count as one data-parallel device.")


def _trainer(reading: Reading) -> None:
    if (reading.number("trainer", "max_steps") or -1) > 0:
        reading.take("total_steps", "trainer", "max_steps")
    if reading.number("trainer", "gradient_clip_val"):
        if reading.get("trainer", "gradient_clip_algorithm") in (None, "norm"):
            reading.take("clip_norm", "trainer", "gradient_clip_val")
        else:
            reading.notes.append(
                "gradient_clip_val clips by value: elements of the gradient fall by 1 / sqrt(kappa); it is not changed."
            )
    interval(reading, "log_interval", ("trainer", "log_every_n_steps"))
    if isinstance(reading.get("trainer", "val_check_interval"), int) and reading.get("trainer", "val_check_interval") > 1:
        reading.notes.append("trainer.val_check_interval counts batches of one device, not optimizer steps: it is not changed.")
    callbacks = reading.get("trainer", "callbacks")
    for i, callback in enumerate(callbacks if isinstance(callbacks, list) else ()):
        name = str(callback.get("class_path")) if isinstance(callback, dict) else ""
        decay = ("trainer", "callbacks", i, "init_args", "decay")
        if ("EMA" in name or "WeightAveraging" in name) and reading.get(*decay) is not None:
            reading.take("ema_decay", *decay)


FORMAT = Format("lightning", "Lightning CLI", ("yaml", "json"), fits, read)
