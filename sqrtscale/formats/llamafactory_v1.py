"""LLaMA-Factory v1 YAML (``model:``, ``optim_config:``, ``dist_config:``), which is not TrainingArguments.

Looked up: LLaMA-Factory, src/llamafactory/v1/config/training_args.py and core/base_trainer.py: without ``optim_config`` it is
torch's AdamW with torch's defaults and no keys for them; ``global_batch_size`` is micro batch x data-parallel size if absent.
"""

from __future__ import annotations

from ._format import Signature
from ._reading import Reading
from ._table import Note, Optimizer, Row, Table


def _without_optim_config(reading: Reading) -> None:
    """The program has a place for betas, eps and weight decay only where the file names an optimizer."""
    if not reading.has("optim_config"):
        for name in ("beta1", "beta2", "eps", "weight_decay"):
            reading.places.pop(name, None)


TABLE = Table(
    key="llamafactory_v1",
    label="LLaMA-Factory v1",
    signature=Signature(
        ("train_dataset", "micro_batch_size", "global_batch_size", "optim_config", "lr_scheduler_config", "dist_config",
         "kernel_config", "quant_config", "peft_config", "model_class", "batching_strategy", "cutoff_len", "sample_backend"),
        least=3, needs=("model", "learning_rate"),
        never=("base_model", "per_device_train_batch_size", "trainer", "lr", "optimizer", "optim")),
    optimizer=Optimizer(("optim_config.name",), {"adamw": "adamw"}, default="adamw"),
    rows=(
        Row("lr", ("learning_rate",)),
        Row("beta1", ("optim_config.betas.0",), 0.9),
        Row("beta2", ("optim_config.betas.1",), 0.999),
        Row("eps", ("optim_config.eps",), 1e-8),
        Row("weight_decay", ("optim_config.wd", "optim_config.weight_decay"), 0.01),
        Row("clip_norm", ("max_grad_norm",), 1.0),
        Row("total_steps", ("max_steps",)),
        Row("warmup_steps", ("lr_scheduler_config.warmup_steps", "lr_scheduler_config.num_warmup_steps")),
        Row("warmup_fraction", ("lr_scheduler_config.warmup_ratio",)),
        Row("per_device", ("micro_batch_size",), 1),
        Row("global_batch", ("global_batch_size",)),
        Row("devices", ("dp_size",)),
        Row("checkpoint_interval", ("save_steps",)),
        Row("log_interval", ("logging_steps",)),
    ),
    syntaxes=("yaml", "json", "command"),
    schedule=("lr_scheduler_config.name", {"cosine": "cosine", "linear": "linear", "constant": "constant"}),
    parallel=("cp_size",),
    notes=(Note("batching_strategy", "batching_strategy packs by tokens, so samples of a step vary: kappa is of their mean.",
                lambda value: "dynamic" in str(value)),),
    more=_without_optim_config,
    irrelevant=("pref_beta", "optim_config.lr", "lr_scheduler_config.num_training_steps"),
)
FORMAT = TABLE.format
