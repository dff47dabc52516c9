"""OLMo's YAML (the trainer of OLMo 1 and 2, not OLMo-core).

Looked up: OLMo, olmo/config.py and olmo/optim.py: ``global_train_batch_size`` is in sequences, over all devices; eps is 1e-5
unless told otherwise; without a name the optimizer is LionW. ``scheduler.units: tokens`` and "2e12T" stay with the samples seen.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import STEPS, Reading, as_number
from ._table import Optimizer, Row, Table


def _more(reading: Reading) -> None:
    if not reading.has("optimizer", "name"):
        raise FieldError("optimizer.name", None, "is not in the file, so OLMo takes LionW, which has no derived rule: give adamw")
    if isinstance(as_number(reading.get("max_duration")), (int, float)):
        reading.take("total_steps", "max_duration")
    in_steps = reading.get("scheduler", "units") in (None, "steps")
    if in_steps and reading.number("scheduler", "t_warmup"):
        reading.take("warmup_steps", "scheduler", "t_warmup")
    for name in ("t_max", "grad_clip_warmup_steps"):
        if in_steps:
            reading.along(STEPS, "scheduler", name)
    if reading.get("max_grad_norm_ratio"):
        reading.notes.append("max_grad_norm_ratio clips by the mean norm of earlier steps and takes priority: it stays as it is.")


TABLE = Table(
    key="olmo",
    label="OLMo",
    signature=Signature(
        ("global_train_batch_size", "device_train_microbatch_size", "max_duration", "scheduler.t_warmup", "scheduler.alpha_f",
         "save_interval_unsharded", "evaluators", "model.d_model", "tokenizer.identifier", "fsdp.wrapping_strategy"),
        least=4, never=("train_module", "max_seq_len", "train_loader")),
    optimizer=Optimizer(("optimizer.name",), {"adamw": "adamw"}),
    rows=(
        Row("lr", ("optimizer.learning_rate",)),
        Row("beta1", ("optimizer.betas.0",), 0.9),
        Row("beta2", ("optimizer.betas.1",), 0.95),
        Row("eps", ("optimizer.eps",), 1e-5),
        Row("weight_decay", ("optimizer.weight_decay",), 0.01),
        Row("clip_norm", ("max_grad_norm",)),
        Row("per_device", ("device_train_microbatch_size",), 16),
        Row("global_batch", ("global_train_batch_size",), 512),
        Row("eval_interval", ("eval_interval",)),
        Row("checkpoint_interval", ("save_interval",)),
        Row("log_interval", ("console_log_interval",)),
    ),
    schedule=("scheduler.name", {
        "cosine_with_warmup": "cosine", "linear_with_warmup": "linear", "inverse_sqrt_with_warmup": "inverse-sqrt",
        "constant": "constant", "constant_with_warmup": "constant"}),
    along={"scheduler.warmup_min_lr": "lr"},
    steps=("save_interval_unsharded", "save_interval_ephemeral", "wandb.log_interval", "optimizer.metrics_log_interval",
           "stop_at", "stop_after"),
    more=_more,
    irrelevant=("scheduler.t_warmup", "scheduler.grad_clip_warmup_factor", "scheduler.grad_clip_warmup_steps",
                "device_train_batch_size", "device_train_grad_accum", "extra_steps_after_cancel", "fast_forward_batches"),
)
FORMAT = TABLE.format
