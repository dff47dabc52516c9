"""An optax optimizer written as JSON: its name and the keyword arguments of the call, flat or under "kwargs".

A learning_rate may be an object with the arguments of optax.warmup_cosine_decay_schedule or of another schedule.
"""

from __future__ import annotations

from ..rules import FAMILIES, FieldError
from ._document import Document, Path
from ._format import Format
from ._optimizers import covered
from ._reading import LOSS_REDUCTION, Reading

NAMES = {"adam": "optax_adam", "adamw": "optax_adamw", "rmsprop": "optax_rmsprop"}
NAME_KEYS = ("optimizer", "name", "type", "_target_", "transform")
RATES = ("peak_value", "init_value", "value")  # of schedules: the largest is the rate
CLIPS = ("clip_by_global_norm", "global_norm_clip", "max_grad_norm", "max_norm", "grad_clip_norm")


def fits(document: Document) -> tuple[str, ...]:
    if not isinstance(document.data, dict):
        return ()
    name = next(
        (key for key in NAME_KEYS if isinstance(document.get((key,)), str) and document.get((key,)).startswith("optax.")), ""
    )
    table = document.get(_arguments(document)) or {}
    own = [key for key in ("b1", "b2", "eps_root", "mu_dtype", "initial_scale", "nesterov") if key in table]
    rmsprop = "rmsprop" in (document.get(("optimizer",)), document.get(("name",))) and "decay" in table
    seen = (*([name] if name else []), *own, *(["decay"] if rmsprop else []))
    return (*seen, "learning_rate") if seen and "learning_rate" in table else seen if len(seen) > 1 or name else ()


def _arguments(document: Document) -> Path:
    return next(((key,) for key in ("kwargs", "args", "hyperparameters", "params") if isinstance(document.get((key,)), dict)), ())


def read(document: Document) -> Reading:
    reading = Reading(document, "optax")
    where = _arguments(document)
    key = next((key for key in NAME_KEYS if document.get((key,)) is not None), None)
    if key is None and reading.get(*where, "weight_decay") is None:
        reading.ask("optimizer", "Is it optax_adam or optax_adamw, which decays by 1e-4 on its own? The file names no optimizer.")
    elif key is None:
        reading.chosen("optax_adamw")
        reading.notes.append("The file names no optimizer: optax.adamw has these arguments.")
    else:
        reading.places["optimizer"] = (key,)
        reading.chosen(covered(key, reading.text(key, default="").lower().removeprefix("optax."), NAMES))
    if reading.switch(*where, "centered"):
        raise FieldError("centered", True, "is not covered for optax.rmsprop: set it to false, or use PyTorch's centered RMSprop")
    optimizer = FAMILIES[reading.optimizer or "optax_adam"]
    _rate(reading, (*where, "learning_rate"))
    for field, argument in optimizer.argument_names.items():
        if field != "lr":
            reading.take(field, *where, argument)
    if reading.get("batch_size") is not None:
        reading.count("global_batch", "batch_size")
    for clip in CLIPS:
        if reading.get(clip) is not None:
            reading.take("clip_norm", clip)
            break
    for field, names in (("total_steps", ("total_steps", "num_steps", "num_train_steps")), ("warmup_steps", ("warmup_steps",))):
        for name in names:
            if reading.get(name) is not None and field not in reading.run:
                reading.take(field, name)
    if reading.number("ema_decay"):
        reading.take("ema_decay", "ema_decay")
    reading.ask(*LOSS_REDUCTION, required=False)
    return reading


def _rate(reading: Reading, path: Path) -> None:
    if not isinstance(reading.get(*path), dict):
        reading.rate(*path)
        return
    table = reading.table(*path)
    key = next((key for key in RATES if table.get(key) is not None), None)
    if key is None:
        raise FieldError("learning_rate", ", ".join(map(str, table)), "is a schedule without peak_value or init_value: give the "
                         "peak rate")
    reading.take("lr", *path, key)
    for other in {"init_value", "end_value"} - {key}:
        reading.along("lr", *path, other)
    for field, argument in (("warmup_steps", "warmup_steps"), ("total_steps", "decay_steps")):
        if reading.get(*path, argument) is not None:
            reading.take(field, *path, argument)
    if reading.get(*path, "transition_steps") is not None:
        reading.take("decay_steps", *path, "transition_steps")


FORMAT = Format("optax", "optax", ("json", "yaml"), fits, read, over=("flat",))
