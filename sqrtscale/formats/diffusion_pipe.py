"""diffusion-pipe's TOML.

Looked up: diffusion-pipe, train.py (get_optimizer, set_config_defaults), optimizers/adamw_8bit.py, models/sdxl.py and
cosmos_predict2.py, and torch-optimi's AdamW (betas 0.9 and 0.99, eps 1e-6): the batch is micro_batch_size_per_gpu x
gradient_accumulation_steps x devices / pipeline_stages, averaged by DeepSpeed; warm-up counts optimizer steps.
"""

from __future__ import annotations

from ..rules import FieldError
from ._format import Signature
from ._reading import Reading
from ._table import Note, Optimizer, Row, Table

NAMES = {
    **dict.fromkeys(("adamw", "adamw8bit", "adamw_optimi", "adamw8bitkahan", "offload"), "adamw"),
    "sgd": "sgd",
}
RATES = ("self_attn", "cross_attn", "mlp", "mod", "llm_adapter", "unet", "text_encoder_1", "text_encoder_2")
REFUSED = {
    "gradient_release": "steps after every micro batch and moves the betas by itself: set it to false",
    "beta2_half_life": "makes beta2 = 0.5^(batch / beta2_half_life) by itself: write that beta2 into betas in its place",
    "stabilize": "makes it StableAdamW, for which no rule is derived: set it to false",
    "decouple_lr": "takes lr out of the weight decay: set it to false, or fill in the form with composer_adamw",
}


def _more(reading: Reading) -> None:
    """Switches that make another algorithm of the optimizer, defaults of its library, and its precision."""
    for key, allowed in REFUSED.items():
        if reading.get("optimizer", key):
            raise FieldError(f"optimizer.{key}", reading.get("optimizer", key), allowed)
    name = str(reading.get("optimizer", "type")).lower()
    if name == "adamw_optimi":
        reading.take("beta2", "optimizer", "betas", 1, default=0.99)
        reading.take("eps", "optimizer", "eps", default=1e-6)
    kept = next((place for place in (("adapter", "dtype"), ("model", "dtype")) if reading.has(*place)), None)
    if kept and reading.get(*kept) == "bfloat16" and "8bit" not in name:
        reading.bf16_state = f"{'.'.join(kept)} = bfloat16"


TABLE = Table(
    key="diffusion_pipe",
    label="diffusion-pipe",
    signature=Signature(
        ("micro_batch_size_per_gpu", "pipeline_stages", "activation_checkpointing", "save_every_n_epochs", "caching_batch_size",
         "eval_micro_batch_size_per_gpu", "partition_method", "video_clip_mode", "checkpoint_every_n_minutes", "blocks_to_swap",
         "adapter.type", "gradient_clipping"),
        needs=("optimizer.type", "model.type", "dataset")),
    optimizer=Optimizer(("optimizer.type",), NAMES),
    rows=(
        Row("lr", ("force_constant_lr", "optimizer.lr")),
        Row("beta1", ("optimizer.betas.0",), 0.9),
        Row("beta2", ("optimizer.betas.1",), 0.999),
        Row("eps", ("optimizer.eps",), 1e-8),
        Row("weight_decay", ("optimizer.weight_decay",)),
        Row("momentum", ("optimizer.momentum",)),
        Row("clip_norm", ("gradient_clipping",), 1.0),
        Row("warmup_steps", ("warmup_steps",)),
        Row("total_steps", ("max_steps",)),
        Row("per_device", ("micro_batch_size_per_gpu",), 1),
        Row("accumulation", ("gradient_accumulation_steps",), 1),
        Row("eval_interval", ("eval_every_n_steps",)),
        Row("checkpoint_interval", ("save_every_n_steps",)),
        Row("log_interval", ("logging_steps",)),
        Row("dropout", ("adapter.dropout",)),
    ),
    syntaxes=("toml",),
    schedule=("lr_scheduler", {"constant": "constant", "linear": "linear", "cosine": "cosine"}),
    along={"optimizer.lr": "lr", **{f"model.{name}_lr": "lr" for name in RATES}},
    parallel=("pipeline_stages",),
    notes=(
        Note("image_micro_batch_size_per_gpu", "image_micro_batch_size_per_gpu: batches of images have a size of their own: "
             "change it by the same factor as micro_batch_size_per_gpu."),
        Note("lr_scheduler", "diffusion-pipe's cosine ends at 1e-6, whatever lr is: where that matters, change eta_min in "
             "train.py as well.", lambda name: name == "cosine"),
    ),
    more=_more,
    irrelevant=("image_micro_batch_size_per_gpu", "steps_per_print"),
)
FORMAT = TABLE.format
