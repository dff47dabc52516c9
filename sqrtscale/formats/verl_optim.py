"""The optimizer's part alone of verl's configuration (verl/trainer/config/optim/fsdp.yaml and megatron.yaml): no batch in it."""

from __future__ import annotations

from ._format import Signature
from ._reading import Reading
from ._table import Row, Table
from .verl import SCHEDULES, irrelevant_at, optimizer_at, rows_at, settle


def _more(reading: Reading) -> None:
    settle(reading)
    reading.defaults.clear()  # all of the batch is elsewhere


TABLE = Table(
    key="verl_optim",
    label="verl's optimizer",
    signature=Signature(
        ("betas", "clip_grad", "lr_scheduler_type", "lr_warmup_steps_ratio", "lr_warmup_steps", "optimizer_impl", "min_lr_ratio",
         "num_cycles", "warmup_style", "override_optimizer_config", "lr_decay_style", "lr_wsd_decay_style", "weight_decay"),
        least=4, needs=("optimizer", "lr", "clip_grad"),
        never=("batch_size", "train_batch_size", "micro_batch_size", "global_batch_size", "adam_beta1", "model",
               "data", "trainer")),
    optimizer=optimizer_at(""),
    rows=(*rows_at(""), Row("beta2", ("betas.1",), 0.999), Row("clip_norm", ("clip_grad", "grad_clip"), 1.0)),
    syntaxes=("yaml", "json"),
    schedule=("lr_scheduler_type", SCHEDULES),
    along={"lr_warmup_init": "lr", "lr_start": "lr"},
    steps=("lr_decay_steps", "lr_wsd_decay_steps"),
    more=_more,
    over=("hydra", "flat"),
    irrelevant=irrelevant_at(""),
)
FORMAT = TABLE.format
