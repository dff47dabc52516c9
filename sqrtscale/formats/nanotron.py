"""nanotron YAML.

Looked up: nanotron, src/nanotron/config/config.py and helpers.py: torch's AdamW with decoupled decay; the global batch is micro
batch x accumulation x ``parallelism.dp``.
"""

from __future__ import annotations

from ._format import Signature
from ._reading import STEPS, Reading
from ._table import Optimizer, Row, Table

FACTORY, SCHEDULE = "optimizer.optimizer_factory", "optimizer.learning_rate_scheduler"


def _stages(reading: Reading) -> None:
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
    optimizer=Optimizer((f"{FACTORY}.name",), {"adamw": "adamw"}),
    rows=(
        Row("lr", (f"{SCHEDULE}.learning_rate",)),
        Row("beta1", (f"{FACTORY}.adam_beta1",), 0.9, ask=f"Which beta1? {FACTORY} has no default for it."),
        Row("beta2", (f"{FACTORY}.adam_beta2",), 0.95, ask=f"Which beta2? {FACTORY} has no default for it."),
        Row("eps", (f"{FACTORY}.adam_eps",), 1e-8, ask=f"Which epsilon? {FACTORY} has no default for it."),
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
    irrelevant=("profiler.*", "general.*", "lighteval.*", "model.*"),
)
FORMAT = TABLE.format
