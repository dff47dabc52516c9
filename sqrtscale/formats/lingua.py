"""lingua YAML (``optim:``, ``data:``, ``distributed:``).

Looked up: lingua, lingua/optim.py and apps/main/train.py: torch's AdamW; ``data.batch_size`` is of one data-parallel device, and
the loss is divided by grad_acc_steps.
"""

from __future__ import annotations

from ._format import Signature
from ._table import Optimizer, Row, Table

TABLE = Table(
    key="lingua",
    label="lingua",
    signature=Signature(
        ("optim.warmup", "optim.clip", "optim.lr_min_ratio", "optim.weight_decay", "grad_acc_steps", "data.batch_size",
         "data.root_dir", "data.n_views", "data.sources", "distributed.fsdp_type", "distributed.dp_shard",
         "checkpoint.dump.every", "dump_dir"),
        least=4, needs=("optim.lr", "steps"),
        never=("trainer", "actor_rollout_ref", "optim.optimizer", "optim.name", "optim._target_", "optim.type")),
    optimizer=Optimizer((), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", ("optim.lr",)),
        Row("beta1", ("optim.beta1",), 0.9),
        Row("beta2", ("optim.beta2",), 0.95),
        Row("eps", ("optim.epsilon",), 1e-8),
        Row("weight_decay", ("optim.weight_decay",), 0.1),
        Row("clip_norm", ("optim.clip",), 1.0),
        Row("warmup_steps", ("optim.warmup",), 2000),
        Row("total_steps", ("steps",)),
        Row("per_device", ("data.batch_size",)),
        Row("accumulation", ("grad_acc_steps",), 1),
        Row("checkpoint_interval", ("checkpoint.dump.every",)),
        Row("eval_interval", ("checkpoint.eval.every",)),
        Row("log_interval", ("logging.freq",)),
    ),
    schedule=("optim.scheduler", {"cosine": "cosine", "linear": "linear", "constant": "constant", "inv_sqrt": "inverse-sqrt",
                                  "wsd": "wsd"}),
    steps=("optim.annealing_step", "probe_freq"),
    parallel=("distributed.tp_size",),
    irrelevant=("optim.lr_min_ratio", "optim.decay_fraction", "eval.validation.max_steps", "profiling.mem_steps",
                "profiling.mem_warmup", "profiling.profile_steps", "profiling.profile_warmup"),
)
FORMAT = TABLE.format
