"""nanotron YAML.

Looked up: nanotron, src/nanotron/config/config.py and helpers.py: torch's AdamW with decoupled decay; the global batch is micro
batch x accumulation x ``parallelism.dp``.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import STEPS, Reading
from ._table import Optimizer, Row, Table

FACTORY, SCHEDULE = "optimizer.optimizer_factory", "optimizer.learning_rate_scheduler"


def _adam(name: str) -> tuple[str, ...]:
    """Where a value of AdamW stands, and where it stood before there was a choice of optimizers."""
    return f"{FACTORY}.{name}", f"optimizer.{name}"


def _stages(reading: Reading) -> None:
    if reading.get("optimizer", "optimizer_factory") is not None and not reading.has("optimizer", "optimizer_factory", "name"):
        raise FieldError(f"{FACTORY}.name", None, "is not in the file: give adamW, if it is that")
    stages = reading.get("data_stages")
    for i in range(len(stages) if isinstance(stages, list) else 0):
        reading.along(STEPS, "data_stages", i, "start_training_step")
    if reading.get("general", "step"):
        reading.notes.append("general.step counts the steps of a run that goes on: its schedule, scaled, belongs to other steps.")


TABLE = Table(
    key="nanotron",
    label="nanotron",
    signature=Signature(
        ("tokens.batch_accumulation_per_replica", "tokens.micro_batch_size", "tokens.train_steps", FACTORY, SCHEDULE,
         "data_stages", "parallelism.dp", "parallelism.tp", "general.project"),
        least=4, needs=("tokens",)),
    optimizer=Optimizer((f"{FACTORY}.name",), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", (f"{SCHEDULE}.learning_rate",)),
        Row("beta1", _adam("adam_beta1"), 0.9, ask="Which beta1? nanotron has no default for it."),
        Row("beta2", _adam("adam_beta2"), 0.95, ask="Which beta2? nanotron has no default for it."),
        Row("eps", _adam("adam_eps"), 1e-8, ask="Which epsilon? nanotron has no default for it."),
        Row("weight_decay", ("optimizer.weight_decay",), 0.01, ask="Which weight decay? The file has no optimizer.weight_decay."),
        Row("clip_norm", ("optimizer.clip_grad",)),
        Row("min_lr", (f"{SCHEDULE}.min_decay_lr",)),
        Row("warmup_steps", (f"{SCHEDULE}.lr_warmup_steps",)),
        Row("total_steps", ("tokens.train_steps",)),
        Row("per_device", ("tokens.micro_batch_size",)),
        Row("accumulation", ("tokens.batch_accumulation_per_replica",)),
        Row("devices", ("parallelism.dp",)),
        Row("eval_interval", ("tokens.val_check_interval",)),
        Row("checkpoint_interval", ("checkpoints.checkpoint_interval",)),
        Row("log_interval", ("logging.iteration_step_info_interval",)),
    ),
    schedule=(f"{SCHEDULE}.lr_decay_style", {"cosine": "cosine", "linear": "linear"}),
    steps=(f"{SCHEDULE}.lr_decay_steps", f"{SCHEDULE}.lr_decay_starting_step", "lighteval.eval_interval"),
    more=_stages,
    irrelevant=("lighteval.batch_size",),
)
FORMAT = TABLE.format
