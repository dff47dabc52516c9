"""ms-swift on the Hugging Face Trainer (``swift sft``, ``swift rlhf``): TrainingArguments with other defaults.

Looked up: ms-swift, swift/trainers/arguments.py: beta2 0.95, weight_decay 0.1, one sample a device, gradient accumulation up to
16 samples over the devices where none is given (1 for GRPO, rlhf_args.py).
"""

from __future__ import annotations

from dataclasses import replace

from . import hf
from ._document import Document
from ._format import CONFIGURATION, Format, Signature
from ._reading import Reading

DEFAULTS = hf.Defaults("ms-swift", beta2=0.95, weight_decay=0.1, per_device=1, accumulation=None)
_OWN = Signature(
    (
        "tuner_type",
        "train_type",
        "split_dataset_ratio",
        "dataset_num_proc",
        "torch_dtype",
        "target_modules",
        "rlhf_type",
        "attn_impl",
        "model_author",
        "freeze_vit",
        "freeze_aligner",
        "load_from_cache_file",
        "loss_scale",
        "use_hf",
        "external_plugins",
        "agent_template",
        "padding_free",
        "model_type",
    ),
    needs=("model", "dataset"),
    never=("model_name_or_path", "dataset_name", "stage", "micro_batch_size", "global_batch_size"),
)


def fits(document: Document) -> tuple[str, ...]:
    """By its own keys, or as a command of its own."""
    command = document.get(("launcher", "script")) == "swift" or "swift" in str(document.get(("launcher", "script"))).split("/")
    return (*(["swift"] if command and document.has(("model",)) else []), *_OWN(document)) if _trains(document) else ()


def _trains(document: Document) -> bool:
    return any(document.has((key,)) for key in ("per_device_train_batch_size", "learning_rate", "num_train_epochs", "max_steps"))


def read(document: Document) -> Reading:
    online = str(document.get(("rlhf_type",))).lower() in ("grpo", "ppo")
    reading = hf.read_with(document, replace(DEFAULTS, accumulation=1) if online else DEFAULTS)
    for key in ("vit_lr", "aligner_lr"):
        reading.along("lr", key)
    return reading


FORMAT = Format(
    "swift",
    "ms-swift",
    CONFIGURATION,
    fits,
    read,
    over=("hf",),
    irrelevant=(*hf.IRRELEVANT, "lora_*", "vera_*", "move_model_batches", "epsilon*"),
)
