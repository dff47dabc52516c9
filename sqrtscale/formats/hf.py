"""Hugging Face TrainingArguments as JSON, YAML or options, and what extends them (LLaMA-Factory, TRL, alignment-handbook).

Fields: transformers, src/transformers/training_args.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._document import Document, Path
from ._format import CONFIGURATION, Format, Signature
from ._optimizers import TRAINER
from ._reading import Reading

NEVER = ("base_model", "micro_batch_size", "global_batch_size", "log_history", "optim_config")
_STRONG = Signature(("per_device_train_batch_size", "per_gpu_train_batch_size"), least=1, never=NEVER)
_SEVERAL = Signature(
    (
        "num_train_epochs",
        "lr_scheduler_type",
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "max_grad_norm",
        "warmup_ratio",
        "output_dir",
        "logging_steps",
        "save_steps",
        "optim",
        "learning_rate",
    ),
    least=3,
    never=(*NEVER, "train_batch_size"),
)
SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "cosine_with_min_lr": "cosine",
    "constant": "constant",
    "constant_with_warmup": "constant",
    "inverse_sqrt": "inverse-sqrt",
    "warmup_stable_decay": "wsd",
}
MODEL_PARALLEL = (
    "tensor_parallel_size",
    "tp_size",
    "context_parallel_size",
    "context_parallel_degree",
    "sequence_parallel_size",
    "sequence_parallel_degree",
    "pipeline_parallel_size",
)


@dataclass(frozen=True)
class Defaults:
    """What a trainer on top of TrainingArguments takes where the file says nothing; accumulation None: it has no fixed one."""

    library: str = "TrainingArguments"
    optimizer: str = "adamw_torch"
    beta2: float = 0.999
    weight_decay: float = 0.0
    per_device: int = 8
    accumulation: int | None = 1


def fits(document: Document) -> tuple[str, ...]:
    tables = any(isinstance(document.get((name,)), dict) for name in ("optim", "optimizer", "trainer", "training"))
    return () if tables else (*_STRONG(document), *_SEVERAL(document))


def read(document: Document) -> Reading:
    return read_with(document, Defaults())


def read_with(document: Document, defaults: Defaults) -> Reading:
    """Read the arguments of a trainer that has those defaults; raises FieldError."""
    reading = Reading(document, defaults.library)
    hyperparameters(reading, "optim", defaults)
    if reading.get("optim_args") is not None:
        reading.notes.append("optim_args is not read: where betas, eps, alpha or momentum are in it, give them by hand.")
    reading.rate("learning_rate")
    reading.count(
        "per_device", *reading.first(("per_device_train_batch_size",), ("per_gpu_train_batch_size",)), default=defaults.per_device
    )
    if defaults.accumulation is None:
        reading.defaults.pop("accumulation")
    reading.count("accumulation", "gradient_accumulation_steps", default=defaults.accumulation)
    lengths(reading)
    reading.choice("schedule", "lr_scheduler_type", names=SCHEDULES)
    more = reading.get("lr_scheduler_kwargs")
    if isinstance(more, dict):
        for name, key in (("min_lr", "min_lr"), ("decay_steps", "num_decay_steps")):
            if more.get(key) is not None:
                reading.take(name, "lr_scheduler_kwargs", key)
        for key in sorted({"num_stable_steps", "timescale"} & set(more)):
            reading.notes.append(f"lr_scheduler_kwargs.{key} counts steps: divide it by kappa as well.")
    elif more:
        reading.notes.append("lr_scheduler_kwargs is text and is not read: steps in it want to be divided by kappa.")
    if reading.get("label_smoothing_factor") is not None:
        reading.take("label_smoothing", "label_smoothing_factor")
    if reading.switch("auto_find_batch_size"):
        reading.notes.append(
            "auto_find_batch_size halves the batch when memory runs out, and the scaled values with it are "
            "wrong: set it to false."
        )
    return reading


def hyperparameters(reading: Reading, key: str, defaults: Defaults) -> None:
    """The optimizer and what TrainingArguments set of it: betas and eps of Adam only, weight decay of all."""
    reading.named(TRAINER, key, default=defaults.optimizer)
    reading.take("weight_decay", "weight_decay", default=defaults.weight_decay)
    if reading.optimizer == "adamw":
        reading.take("beta1", "adam_beta1", default=0.9)
        reading.take("beta2", "adam_beta2", default=defaults.beta2)
        reading.take("eps", "adam_epsilon", default=1e-8)
    reading.share_a_model(MODEL_PARALLEL)
    if reading.get("deepspeed"):
        reading.notes.append(
            'deepspeed: its own optimizer, schedule and batch must be "auto" or agree with this file; import '
            "it too where they are not."
        )


def lengths(reading: Reading) -> None:
    """Steps, intervals and clipping, under the names that TrainingArguments and axolotl share."""
    total = reading.number("max_steps")
    if total is not None and total > 0:
        reading.take("total_steps", "max_steps")
    warmup = reading.number("warmup_steps") or 0
    if 0 < warmup < 1:
        reading.take("warmup_fraction", "warmup_steps")
        reading.notes.append(f"warmup_steps = {warmup:g} is below 1, so it is a share of the run.")
    elif warmup:
        reading.take("warmup_steps", "warmup_steps")
    elif reading.number("warmup_ratio"):
        reading.take("warmup_fraction", "warmup_ratio")
    for name, word in (("eval_interval", "eval"), ("checkpoint_interval", "save"), ("log_interval", "logging")):
        if reading.get(f"{word}_strategy") in (None, "steps"):
            interval(reading, name, (f"{word}_steps",))
        else:
            reading.accounted.add((f"{word}_steps",))
    if reading.number("max_grad_norm") != 0:
        reading.take("clip_norm", "max_grad_norm", default=1.0)


def interval(reading: Reading, name: str, path: Path) -> None:
    """An interval in steps; below 1 it is a share of the run, and needs no scaling."""
    if (reading.number(*path) or 0) >= 1:
        reading.take(name, *path)


IRRELEVANT = (
    "lr_scheduler_kwargs.min_lr_rate",
    "beta",
    "loraplus_lr_ratio",
    "torch_empty_cache_steps",
    "eval_delay",
    "pref_beta",
    "*adam_beta[12]",
    "*adam_epsilon",
)
FORMAT = Format("hf", "Hugging Face TrainingArguments", CONFIGURATION, fits, read, irrelevant=IRRELEVANT)
