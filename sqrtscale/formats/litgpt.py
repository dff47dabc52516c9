"""LitGPT's YAML (``litgpt pretrain --config``) and its commands.

Looked up: LitGPT, litgpt/args.py, pretrain.py, finetune/lora.py and full.py, utils.py: ``train.global_batch_size`` is global and
accumulated in micro batches, warm-up counts optimizer steps, ``max_norm`` and ``min_lr`` act in pretraining alone, and
``lr_warmup_fraction`` is a share of an epoch. Before May 2024 ``train`` held lr, betas and weight decay, for AdamW.
"""

from __future__ import annotations

from ._classes import read_class
from ._format import Signature
from ._reading import Reading, as_number
from ._table import Row, Table

PRETRAINING = ("model_name", "model_config", "initial_checkpoint_dir", "tokenizer_dir")


def _optimizer(reading: Reading) -> None:
    """The class with its arguments, the class alone, or AdamW where there is none."""
    for place in (("optimizer", "class_path"), ("optimizer", "_group_")):
        if reading.has(*place):
            arguments = reading.has("optimizer", "init_args") or place[-1] == "class_path"
            read_class(reading, place, ("optimizer", "init_args") if arguments else ("optimizer",))
            return
    if reading.has("optimizer"):
        read_class(reading, ("optimizer",), ("optimizer", "init_args"))
        return
    reading.chosen("adamw")
    reading.assumed["optimizer"] = "optimizer = adamw (LitGPT's default)"
    if reading.has("train", "learning_rate"):
        for name, key, default in (("beta1", "beta1", 0.9), ("beta2", "beta2", 0.95), ("weight_decay", "weight_decay", 0.02)):
            reading.take(name, "train", key, default=default)
    reading.rate(*reading.first(("optimizer", "init_args", "lr"), ("train", "learning_rate")))


def _more(reading: Reading) -> None:
    """What depends on the recipe, and the devices."""
    pretraining = any(reading.has(name) for name in PRETRAINING) or "pretrain" in str(reading.get("launcher"))
    if not reading.has("train", "lr_warmup_fraction") and not reading.has("train", "lr_warmup_steps"):
        reading.take("warmup_steps", "train", "lr_warmup_steps", default=2000 if pretraining else 100)
    if pretraining:
        reading.take("clip_norm", "train", "max_norm", default=1.0)
        reading.take("min_lr", "train", "min_lr", default=4e-5)
    if not reading.has("train", "global_batch_size"):
        reading.defaults.clear()
        reading.ask("batch_size", "How many samples does one optimizer step see? The file does not say train.global_batch_size, "
                    "whose default differs between LitGPT's recipes.")
    nodes = reading.number("num_nodes") or 1
    if isinstance(as_number(reading.get("devices")), int) and nodes == 1:
        reading.count("devices", "devices")


TABLE = Table(
    key="litgpt",
    label="LitGPT",
    signature=Signature(
        tuple(f"train.{name}" for name in (
            "global_batch_size", "lr_warmup_steps", "lr_warmup_fraction", "max_norm", "min_lr", "max_tokens", "save_interval",
            "log_interval", "max_seq_length", "tie_embeddings", "epochs")),
        needs=("train.micro_batch_size",), never=("trainer", "model.class_path")),
    optimizer=_optimizer,
    rows=(
        Row("total_steps", ("train.max_steps",)),
        Row("warmup_steps", ("train.lr_warmup_steps",)),
        Row("per_device", ("train.micro_batch_size",)),
        Row("global_batch", ("train.global_batch_size",)),
        Row("eval_interval", ("eval.interval",)),
        Row("checkpoint_interval", ("train.save_interval",)),
    ),
    syntaxes=("yaml", "json", "command"),
    more=_more,
    irrelevant=("train.lr_warmup_fraction", "train.min_lr", "eval.max_iters"),
)
FORMAT = TABLE.format
