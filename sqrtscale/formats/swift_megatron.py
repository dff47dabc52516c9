"""ms-swift on Megatron (``megatron sft --config``): Megatron's arguments with a model, data and defaults of its own.

Looked up: ms-swift, swift/megatron/arguments/megatron_args.py (beta2 0.95, weight_decay 0.1, global batch 16, cosine).
"""

from __future__ import annotations

from dataclasses import replace

from . import megatron
from ._document import Document
from ._format import Signature
from ._table import Row

_OWN = Signature(
    ("model", "mcore_model", "dataset", "cached_dataset", "load_safetensors", "mcore_adapter"),
    least=1,
    never=("trainer", "optim", "opt", "learning_rate", "base_model", "optim_config", "per_device_train_batch_size",
           "train_dataset"),
)
_BATCH = Signature(("micro_batch_size", "global_batch_size"), least=1)
_MEGATRON = Signature(
    (*megatron.OWN, "lr", "expert_model_parallel_size", "recompute_granularity", "moe_aux_loss_coeff", "padding_free",
     "cross_entropy_loss_fusion", "tuner_type", "train_type", "split_dataset_ratio"),
    least=2,
)
_DIFFERENT = {
    "beta2": Row("beta2", ("adam_beta2",), 0.95),
    "weight_decay": Row("weight_decay", ("weight_decay",), 0.1),
    "per_device": Row("per_device", ("micro_batch_size",), 1),
    "global_batch": Row("global_batch", ("global_batch_size",), 16),
}


def fits(document: Document) -> tuple[str, ...]:
    parts = [signature(document) for signature in (_OWN, _BATCH, _MEGATRON)]
    return sum(parts, ()) if all(parts) and not isinstance(document.get(("model",)), dict) else ()


TABLE = replace(
    megatron.TABLE,
    key="swift_megatron",
    label="ms-swift on Megatron",
    signature=fits,
    rows=tuple(_DIFFERENT.get(row.name, row) for row in megatron.ROWS),
    along={**megatron.ALONG, "vit_lr": "lr", "aligner_lr": "lr"},
)
FORMAT = TABLE.format
