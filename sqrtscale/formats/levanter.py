"""Levanter YAML. Fields and defaults: Levanter, src/levanter/trainer.py and src/levanter/optim/config.py.

Its optimizers are optax's; ``train_batch_size`` is global. ``warmup`` and ``decay`` below 1 are shares of the run.
"""

from __future__ import annotations

from ._format import Signature
from ._table import Note, Optimizer, Row, Table

TABLE = Table(
    key="levanter",
    label="Levanter",
    signature=Signature(
        (
            "trainer.train_batch_size",
            "trainer.num_train_steps",
            "trainer.per_device_parallelism",
            "trainer.mp",
            "optimizer.learning_rate",
            "optimizer.min_lr_ratio",
            "trainer.steps_per_eval",
            "trainer.tracker",
            "trainer.checkpointer",
        ),
        needs=("trainer",),
        never=("trainer._target_",),
    ),
    optimizer=Optimizer(("optimizer.type",), {"adam": "optax_adamw", "adamw": "optax_adamw"}, default="adam"),
    rows=(
        Row("lr", ("optimizer.learning_rate",)),
        Row("beta1", ("optimizer.beta1",), 0.9),
        Row("beta2", ("optimizer.beta2",), 0.95),
        Row("eps", ("optimizer.epsilon",), 1e-8),
        Row("eps_root", (), 0.0),
        Row("weight_decay", ("optimizer.weight_decay",), 0.1),
        Row("clip_norm", ("optimizer.max_grad_norm",), 1.0),
        Row("warmup", ("optimizer.warmup", "optimizer.warmup_ratio")),
        Row("global_batch", ("trainer.train_batch_size",), 512),
        Row("total_steps", ("trainer.num_train_steps",)),
        Row("eval_interval", ("trainer.steps_per_eval",)),
        Row("ema_decay", ("trainer.model_averaging.beta",)),
    ),
    schedule=(
        "optimizer.lr_schedule",
        {"cosine": "cosine", "linear": "linear", "constant": "constant", "inv_sqrt": "inverse-sqrt"},
    ),
    parallel=("trainer.model_axis_size",),
    steps=("optimizer.decay", "optimizer.rewarmup", "hf_save_steps"),
    notes=(
        Note("optimizer.cycles", "cycles and cycle_length: where they are numbers of steps, divide them by kappa."),
        Note("optimizer.cycle_length", "cycles and cycle_length: where they are numbers of steps, divide them by kappa."),
        Note(
            "optimizer.nesterov", "nesterov: the first moment looks one step ahead; the rule is Adam's while betas move slowly."
        ),
    ),
    irrelevant=(
        "optimizer.min_lr_ratio",
        "trainer.per_device_parallelism",
        "trainer.per_device_eval_parallelism",
        "trainer.profiler_*",
        "model.*.beta_fast",
        "model.*.beta_slow",
    ),
)
FORMAT = TABLE.format
