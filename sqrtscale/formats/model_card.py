"""The list of hyperparameters on a Hugging Face model card, as the Trainer writes it.

Fields: transformers, src/transformers/modelcard.py. A line that the Trainer leaves out has a known meaning: no num_devices is
one device, no gradient_accumulation_steps is 1, no total_train_batch_size equals train_batch_size.
"""

from __future__ import annotations

from ..rules import FieldError
from ._document import Document
from ._format import Format
from ._optimizers import TRAINER, covered
from ._reading import Reading
from .hf import SCHEDULES

NAMES = TRAINER | {"adam": "adamw"}  # older cards write Adam for the Trainer's AdamW


def fits(document: Document) -> tuple[str, ...]:
    return tuple(document.data)


def read(document: Document) -> Reading:
    reading = Reading(document, "the Trainer")
    _optimizer(reading)
    reading.rate("learning_rate")
    if reading.optimizer in ("adamw", None):
        for field, default in (("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-8)):
            reading.take(field, "optimizer", field, default=default)
    reading.fix("weight_decay", 0.0)
    reading.notes.append(
        "A card does not say weight_decay (0 is assumed) nor max_grad_norm (1.0 unless it was changed): correct "
        "the first if need be, and scale the second by 1 / sqrt(kappa)."
    )
    _batch(reading)
    for field, key in (
        ("total_steps", "training_steps"),
        ("warmup_steps", "lr_scheduler_warmup_steps"),
        ("warmup_fraction", "lr_scheduler_warmup_ratio"),
        ("label_smoothing", "label_smoothing_factor"),
    ):
        if field == "warmup_steps" and 0 < (reading.number(key) or 0) < 1:
            field = "warmup_fraction"
        if reading.get(key) is not None:
            reading.take(field, key)
    reading.choice("schedule", "lr_scheduler_type", names=SCHEDULES)
    return reading


def _optimizer(reading: Reading) -> None:
    if not reading.table("optimizer"):
        reading.ask("optimizer", "Which optimizer did the run use? The card does not say.", "adamw")
        return
    name = reading.text("optimizer", "name", default="").removeprefix("OptimizerNames.").rstrip(",")
    if "{" in name:
        raise FieldError(
            "optimizer", reading.get("optimizer", "text"), "is a Keras optimizer: paste its get_config() as JSON instead"
        )
    if name.lower() == "adam":
        reading.notes.append("The Trainer's Adam on this card is AdamW.")
    reading.places["optimizer"] = ("optimizer", "name")
    reading.chosen(covered("optimizer", name, NAMES))


def _batch(reading: Reading) -> None:
    """What the card leaves out is 1, or, of the devices, what the total says."""
    for part, key in (
        ("per_device", "train_batch_size"),
        ("accumulation", "gradient_accumulation_steps"),
        ("devices", "num_devices"),
        ("global_batch", "total_train_batch_size"),
    ):
        reading.count(part, key)
    batch = reading.batch
    batch["accumulation"] = accumulation = batch["accumulation"] or 1
    per_device, total = batch["per_device"], batch["global_batch"]
    if not per_device:
        return
    share = per_device * accumulation
    devices = batch["devices"] or (total // share if total and total % share == 0 else 1)
    batch["devices"] = devices
    if total is not None and total != share * devices:
        reading.notes.append(
            f"total_train_batch_size = {total} is not train_batch_size x accumulation x devices = "
            f"{share * devices}: the total is taken."
        )
        reading.batch |= {"per_device": None, "accumulation": None, "devices": None}


FORMAT = Format("model_card", "Hugging Face model card", ("card",), fits, read)
