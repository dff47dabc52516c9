"""DeepSpeed JSON. Fields: DeepSpeed, docs/_pages/config-json.md. "auto" is filled in by the Hugging Face Trainer.

train_batch_size = train_micro_batch_size_per_gpu x gradient_accumulation_steps x GPUs, so any two with the GPUs give the third.
"""

from __future__ import annotations

from ._document import Document
from ._format import Format, Signature
from ._optimizers import covered
from ._reading import AUTO, Reading
from .param_groups import PLACES

fits = Signature(
    (
        "train_micro_batch_size_per_gpu",
        "train_batch_size",
        "zero_optimization",
        "zero_allow_untested_optimizer",
        "gradient_clipping",
        "steps_per_print",
        "wall_clock_breakdown",
        "zero_force_ds_cpu_optimizer",
        "optimizer.params",
        "scheduler.params",
        "bf16.enabled",
        "fp16.enabled",
        "gradient_accumulation_steps",
    ),
    never=(
        "train-iters",
        "train_iters",
        "num-layers",
        "num_layers",
        "hidden-size",
        "hidden_size",
    ),  # GPT-NeoX has them beside these
)
NAMES = {"adamw": "adamw", "sgd": "sgd", "rmsprop": "rmsprop"}
SCHEDULES = {"warmuplr": "constant", "warmupdecaylr": "linear", "warmupcosinelr": "cosine"}
PARAMS = ("optimizer", "params")
SCHEDULER = ("scheduler", "params")


def read(document: Document) -> Reading:
    reading = Reading(document, "DeepSpeed")
    _batch(reading)
    if reading.has("optimizer", "type"):
        _optimizer(reading)
    else:
        reading.ask("optimizer", "Which optimizer does your program make? The file does not say.", "adamw")
    _rate(reading)
    _scheduler(reading)
    if reading.get("gradient_clipping") not in (None, 0, 0.0):
        reading.take("clip_norm", "gradient_clipping")
    if (reading.get("steps_per_print") or 0) not in (0, AUTO) and (reading.number("steps_per_print") or 0) < 10**9:
        reading.take("log_interval", "steps_per_print")
    for key in ("tensor_parallel", "sequence_parallel_size", "pipeline"):
        if reading.get(key) not in (None, 1, False):
            reading.notes.append(f"{key}: devices that share one copy of the model count as one data-parallel device.")
    if reading.autos:
        reading.notes.append(
            f'"auto": {", ".join(reading.autos)}. The Hugging Face Trainer fills them in, so its '
            "defaults are assumed where nothing is asked; import those arguments as well."
        )
    return reading


def _optimizer(reading: Reading) -> None:
    reading.places["optimizer"] = ("optimizer", "type")
    name = reading.text("optimizer", "type", default="").strip().lower().removeprefix("deepspeedcpu").removeprefix("fused")
    decoupled = reading.get(*PARAMS, "adam_w_mode") is not False
    if name == "adam" and decoupled:
        reading.notes.append("DeepSpeed's Adam is AdamW unless adam_w_mode is false.")
    reading.chosen(covered("optimizer.type", name, NAMES | {"adam": "adamw" if decoupled else "adam"}))
    for field, path in PLACES.items():
        if field not in reading.fields or field == "lr":
            continue
        if path[0] == "betas" and reading.get(*PARAMS, "betas") == AUTO:
            path = ("betas",)
        reading.take(field, *PARAMS, *path, default=0.0 if field == "weight_decay" else None)


def _rate(reading: Reading) -> None:
    """lr of the optimizer, unless the scheduler sets it."""
    kind = str(reading.get("scheduler", "type")).lower()
    warms_up = kind in ("warmuplr", "warmupdecaylr")
    place = (*SCHEDULER, "warmup_max_lr") if warms_up else (*PARAMS, "lr")
    if not warms_up and not reading.table("optimizer"):
        reading.places["lr"] = place
        reading.ask("lr", "Which learning rate does your program set? The file does not say.")
        return
    if reading.get(*place) == AUTO:
        reading.ask("lr", 'Which learning_rate do the TrainingArguments have? The file says "auto".')
    reading.rate(*place)
    if warms_up and reading.get(*PARAMS, "lr") not in (None, AUTO):
        if reading.number(*PARAMS, "lr") != reading.values.get("lr"):
            reading.notes.append("The scheduler warms up to warmup_max_lr, whatever optimizer.params.lr says: that is the rate.")
        reading.along("lr", *PARAMS, "lr")


def _scheduler(reading: Reading) -> None:
    if not reading.table("scheduler"):
        return
    reading.choice("schedule", "scheduler", "type", names=SCHEDULES)
    for name, key in (("warmup_steps", "warmup_num_steps"), ("total_steps", "total_num_steps")):
        if reading.get(*SCHEDULER, key) is not None:
            reading.take(name, *SCHEDULER, key)
    if reading.get(*SCHEDULER, "warmup_min_lr") not in (None, AUTO):
        reading.along("lr", *SCHEDULER, "warmup_min_lr")


def _batch(reading: Reading) -> None:
    reading.count("global_batch", "train_batch_size")
    reading.count("per_device", "train_micro_batch_size_per_gpu")
    reading.count("accumulation", "gradient_accumulation_steps", default=1)


FORMAT = Format("deepspeed", "DeepSpeed", ("json",), fits, read)
