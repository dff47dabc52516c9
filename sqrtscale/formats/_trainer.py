"""What Lightning's Trainer is given, in a file of the Lightning CLI (class_path) and in one that Hydra composes (_target_).

Looked up: Lightning, src/lightning/pytorch/trainer/trainer.py and callbacks/model_checkpoint.py (every_n_train_steps counts
optimizer steps, val_check_interval batches).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..rules.errors import whole
from ._accounting import words
from ._document import Path, shown
from ._reading import STEPS, Reading, as_number

EITHER = {"T_max", "T_0", "milestones", "step_size", "total_iters", "warmup_iters"}
RATES = {"eta_min", "min_lr", "max_lr", "warmup_start_lr", "final_lr"}
_SCHEDULES = {"scheduler", "schedulers", "schedule"}


def tables(data: Any, path: Path = ()) -> Iterator[tuple[Path, dict[Any, Any]]]:
    """Every table, at any depth, with its path."""
    if isinstance(data, dict):
        yield path, data
    for key, inner in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from tables(inner, (*path, key))


def names_on(path: Path) -> set[str]:
    """The words of all keys of a path."""
    return set().union(*(words(key) for key in path if isinstance(key, str)))


def read_devices(reading: Reading) -> None:
    """trainer.devices x trainer.num_nodes, where they are numbers; "auto" and -1 stay unknown."""
    nodes = whole("trainer.num_nodes", reading.number("trainer", "num_nodes") or 1, 1, 2)
    devices = as_number(reading.get("trainer", "devices"))
    text = devices.strip("[]") if isinstance(devices, str) else ""
    if isinstance(devices, list) or "," in text:
        listed = devices if isinstance(devices, list) else [item for item in text.split(",") if item.strip()]
        reading.batch["devices"] = len(listed) * nodes
    elif isinstance(devices, int) and not isinstance(devices, bool) and devices > 0:
        reading.count("devices", "trainer", "devices")
        reading.batch["devices"] = devices * nodes
        if nodes > 1:  # two numbers make it up: left to the user
            del reading.places["devices"]


def read_trainer(reading: Reading) -> None:
    """Lengths, clipping and callbacks."""
    if (reading.number("trainer", "max_steps") or -1) > 0:
        reading.take("total_steps", "trainer", "max_steps")
    if (reading.number("trainer", "log_every_n_steps") or 0) >= 1:
        reading.take("log_interval", "trainer", "log_every_n_steps")
    if reading.number("trainer", "gradient_clip_val"):
        if reading.get("trainer", "gradient_clip_algorithm") in (None, "norm"):
            reading.take("clip_norm", "trainer", "gradient_clip_val")
        else:
            reading.notes.append("gradient_clip_val clips by value, and is not changed: elements of the gradient fall by 1 / "
                                 "sqrt(kappa).")
    checks = reading.get("trainer", "val_check_interval")
    if isinstance(checks, int) and checks > 1:
        reading.notes.append("trainer.val_check_interval counts batches of one device, not optimizer steps: it is not changed.")
    for path, table in tables(reading.document.data):
        if "callbacks" not in path:
            continue
        name = str(table.get("class_path") or table.get("_target_"))
        arguments = (*path, "init_args") if "class_path" in table else path
        if ("EMA" in name or "WeightAveraging" in name) and reading.get(*arguments, "decay") is not None:
            reading.take("ema_decay", *arguments, "decay")
        reading.along(STEPS, *path, "every_n_train_steps")


def read_schedules(reading: Reading) -> None:
    """Numbers of steps and rates among the arguments of a schedule, which have the names that its class gives them."""
    counted = []
    for path, table in tables(reading.document.data):
        for key, value in table.items() if names_on(path) & _SCHEDULES else ():
            place = (*path, key)
            amount = as_number(value)
            if key in EITHER and value is not None:
                reading.accounted.add(place)
                reading.notes.append(f"{shown(place)} = {value} counts epochs or steps, as your program calls the schedule: "
                                     "divide steps by kappa.")
            elif not isinstance(amount, (int, float)) or isinstance(amount, bool):
                continue
            elif str(key).endswith("_steps") and amount > 1:
                reading.along(STEPS, *place)
                counted.append(f"{shown(place)} = {value}")
            elif key in RATES:
                reading.along("lr", *place)
    if counted:
        reading.notes.append(f"{', '.join(counted)}: steps of the schedule, which the export divides by kappa.")
