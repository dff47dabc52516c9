"""Lightning CLI YAML. What lies under model and data has the names that the user's classes give it.

Fields: Lightning, docs/source-pytorch/cli and src/lightning/pytorch/trainer/trainer.py.
"""

from __future__ import annotations

from ._classes import read_class
from ._document import Document, Path, dotted
from ._format import Format, Signature
from ._reading import Reading
from ._trainer import read_devices, read_schedules, read_trainer
from .param_groups import PLACES

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
    read_trainer(reading)
    read_schedules(reading)
    return reading


def _optimizer(reading: Reading) -> None:
    where = next((path for path in OPTIMIZERS if isinstance(reading.get(*path), dict)), None)
    if where is None:
        _from_the_model(reading)
    elif reading.has(*where, "class_path"):
        read_class(reading, (*where, "class_path"), (*where, "init_args"))
    else:
        reading.ask("optimizer", "Which optimizer does your program fix? The file has only its arguments.", "adamw")
        for name, path in PLACES.items():
            if name == "lr":
                reading.rate(*where, *path)
            elif path[0] in reading.table(*where):
                reading.take(name, *where, *path)


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
                f"{dotted((*model, rate))} is an argument of your model: that it is the learning rate is a guess by its name."
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
    read_devices(reading)
    strategy = reading.get("trainer", "strategy")
    if isinstance(strategy, dict) and "ModelParallel" in str(strategy.get("class_path")):
        reading.notes.append("ModelParallelStrategy: devices that share one copy of the model count as one data-parallel device.")


FORMAT = Format("lightning", "Lightning CLI", ("yaml", "json"), fits, read)
