"""axolotl YAML. Fields: axolotl, src/axolotl/utils/schemas; the Trainer below it has TrainingArguments' defaults."""

from __future__ import annotations

from ..rules import FieldError
from ._document import Document
from ._format import Format, Signature
from ._reading import Reading
from .hf import Defaults, hyperparameters, lengths

fits = Signature(
    (
        "micro_batch_size",
        "sequence_len",
        "datasets",
        "sample_packing",
        "lora_r",
        "num_epochs",
        "adapter",
        "val_set_size",
        "evals_per_epoch",
        "saves_per_epoch",
        "gradient_accumulation_steps",
        "dataset_prepared_path",
    ),
    needs=("base_model",),
    never=("per_device_train_batch_size", "global_batch_size", "architectures"),
)
SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant",
    "constant_with_warmup": "constant",
    "inverse_sqrt": "inverse-sqrt",
    "warmup_stable_decay": "wsd",
}


def read(document: Document) -> Reading:
    reading = Reading(document, "axolotl and TrainingArguments")
    hyperparameters(reading, "optimizer", Defaults(optimizer="adamw_torch_fused"))
    reading.rate("learning_rate")
    reading.count("per_device", "micro_batch_size", default=1)
    _accumulation(reading)
    lengths(reading)
    reading.choice("schedule", "lr_scheduler", names=SCHEDULES)
    for key in ("embedding_lr", "loraplus_lr_embedding", "projector_lr"):
        reading.along("lr", key)
    if reading.get("lr_groups"):
        reading.notes.append("lr_groups have rates of their own, which are not read: multiply them by sqrt(kappa) as well.")
    if reading.switch("sample_packing"):
        reading.notes.append("sample_packing: a sample of the batch is a packed sequence, at the base and at the target.")
    return reading


def _accumulation(reading: Reading) -> None:
    """gradient_accumulation_steps, or batch_size (of one process) / micro_batch_size."""
    whole = reading.number("batch_size")
    if reading.get("gradient_accumulation_steps") is not None or not whole:
        reading.count("accumulation", "gradient_accumulation_steps", default=1)
        return
    passes = whole / (reading.batch["per_device"] or 1)
    if passes != int(passes):
        raise FieldError(
            "batch_size",
            reading.get("batch_size"),
            "is no multiple of micro_batch_size: give gradient_accumulation_steps instead of batch_size",
        )
    reading.count("process_batch", "batch_size")
    reading.batch["accumulation"] = int(passes)
    reading.notes.append("batch_size is micro_batch_size x accumulation here, not the global batch.")


IRRELEVANT = (
    "eval_*",
    "cosine_min_lr_ratio",
    "cosine_constant_lr_ratio",
    "loraplus_lr_ratio",
    "rl_beta",
    "*adam_beta[12]",
    "*adam_epsilon",
    "quantize_moe_experts",
    "trl.epsilon*",
    "trl.beta",
    "diffusion.eps",
)
FORMAT = Format("axolotl", "axolotl", ("yaml", "json"), fits, read, irrelevant=IRRELEVANT)
