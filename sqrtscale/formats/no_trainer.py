"""Hugging Face's example scripts without Trainer (run_clm_no_trainer.py and the like): their commands.

Looked up: transformers, examples/pytorch/language-modeling/run_clm_no_trainer.py: torch's AdamW with its own betas and eps, no
clipping, ``num_warmup_steps`` and ``max_train_steps`` count optimizer steps.
"""

from __future__ import annotations

from ._document import Document
from ._format import Signature
from ._table import Optimizer, Row, Table
from .diffusers import SCHEDULES

_KEYS = Signature(("num_warmup_steps", "max_train_steps", "checkpointing_steps"), least=1, needs=("per_device_train_batch_size",),
                  never=("adam_beta1", "max_grad_norm", "warmup_ratio", "warmup_steps", "optim", "_target_"))


def fits(document: Document) -> tuple[str, ...]:
    """The script's name in a command, or its own keys."""
    script = str(document.get(("launcher", "script")))
    return ("launcher.script",) if script.endswith("_no_trainer.py") else _KEYS(document)


TABLE = Table(
    key="no_trainer",
    label="Hugging Face's scripts without Trainer",
    syntaxes=("command", "yaml", "json"),
    signature=fits,
    optimizer=Optimizer((), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", ("learning_rate",)),
        Row("beta1", (), 0.9),
        Row("beta2", (), 0.999),
        Row("eps", (), 1e-8),
        Row("weight_decay", ("weight_decay",), 0.0),
        Row("per_device", ("per_device_train_batch_size",), 8),
        Row("accumulation", ("gradient_accumulation_steps",), 1),
        Row("total_steps", ("max_train_steps",)),
        Row("warmup_steps", ("num_warmup_steps",)),
        Row("checkpoint_interval", ("checkpointing_steps",)),
    ),
    schedule=("lr_scheduler_type", SCHEDULES),
    over=("hf",),
    irrelevant=("per_device_eval_batch_size",),
)
FORMAT = TABLE.format
