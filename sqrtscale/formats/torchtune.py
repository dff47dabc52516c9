"""torchtune's YAML, in which every part is named by its class (``_component_``).

Looked up: torchtune, recipes/ (full_finetune_distributed.py, lora_finetune_single_device.py, full_dpo_distributed.py),
recipes/configs and torchtune/training/lr_schedulers.py: ``batch_size`` is of one device, gradients are averaged, every number of
steps counts optimizer steps, and ``dtype: bf16`` holds weights and torch's optimizer state in bfloat16.
"""

from __future__ import annotations

from ..rules import FieldError
from ._classes import read_class
from ._format import Signature
from ._reading import Reading
from ._table import Row, Table

SCHEDULES = {
    f"torchtune.{module}.get_cosine_schedule_with_warmup": "cosine"
    for module in ("modules", "training", "training.lr_schedulers")
}


def _optimizer(reading: Reading) -> None:
    read_class(reading, ("optimizer", "_component_"), ("optimizer",))


def _more(reading: Reading) -> None:
    """Batches of PPO, and the precision of the optimizer's state."""
    if reading.has("ppo_batch_size"):
        raise FieldError("ppo_batch_size", reading.get("ppo_batch_size"), "is the batch of a step of reinforcement learning, "
                         "which the rule does not cover: tune it at the target batch, or fill in the form")
    if reading.get("dtype") == "bf16" and str(reading.get("optimizer", "_component_")).startswith("torch."):
        reading.bf16_state = "dtype = bf16"


TABLE = Table(
    key="torchtune",
    label="torchtune",
    signature=Signature(
        tuple(f"{part}._component_" for part in (
            "model", "tokenizer", "checkpointer", "dataset", "loss", "lr_scheduler", "metric_logger", "profiler")),
        needs=("optimizer._component_",)),
    optimizer=_optimizer,
    rows=(
        Row("per_device", ("batch_size",)),
        Row("accumulation", ("gradient_accumulation_steps",), 1),
        Row("clip_norm", ("clip_grad_norm",)),
        Row("warmup_steps", ("lr_scheduler.num_warmup_steps",)),
        Row("eval_interval", ("run_val_every_n_steps",)),
        Row("checkpoint_interval", ("save_every_n_steps",)),
        Row("log_interval", ("log_every_n_steps",)),
    ),
    schedule=("lr_scheduler._component_", SCHEDULES),
    steps=("max_steps_per_epoch",),
    parallel=("tensor_parallel_dim", "context_parallel_dim"),
    more=_more,
    irrelevant=("batch_size_val", "forward_batch_size", "num_steps", "loss.beta", "loss.epsilon", "profiler.wait_steps",
                "profiler.warmup_steps", "profiler.active_steps"),
)
FORMAT = TABLE.format
