"""mmengine's configurations in Python (MMDetection, MMSegmentation, MMPretrain ...), and those of MMCV before it.

Looked up: mmengine, mmengine/optim/optimizer/builder.py (torch's classes by name) and optimizer_wrapper.py, runner/loops.py and
hooks/param_scheduler_hook.py (iterations are passes, whatever is accumulated), hooks/ema_hook.py; MMDetection, configs/. The
batch is of one device, and the number of devices is not in the file.
"""

from __future__ import annotations

from typing import Any

from ..rules import FieldError
from ._batch_reading import DEVICES
from ._classes import read_class
from ._document import Document, Path, shown
from ._format import Format, Signature
from ._reading import PASSES, Reading, as_number

WHOLE = "give the whole configuration, which mmengine writes into work_dirs at the start of a run"
fits = Signature(
    ("optim_wrapper", "train_dataloader", "param_scheduler", "default_hooks", "default_scope", "train_cfg", "auto_scale_lr",
     "optimizer_config", "lr_config", "runner", "checkpoint_config", "log_config", "env_cfg", "_base_", "train_pipeline"),
    least=2, never=("trainer", "training_args"))
_COUNTS = ("begin", "end", "T_max", "step_size", "total_steps", "warmup_iters", "start", "stop")


def read(document: Document) -> Reading:
    reading = Reading(document, "PyTorch")
    old = document.has(("optimizer",)) and not document.has(("optim_wrapper",))
    wrapper: Path = () if old else ("optim_wrapper",)
    _optimizer(reading, wrapper)
    if old:
        reading.count("per_device", "data", "samples_per_gpu")
        reading.count("accumulation", "optimizer_config", "cumulative_iters", default=1)
        _clip(reading, ("optimizer_config", "grad_clip"))
        schedules: list[Path] = [("lr_config",)]
    else:
        reading.count("per_device", "train_dataloader", "batch_size")
        reading.count("accumulation", "optim_wrapper", "accumulative_counts", default=1)
        _clip(reading, ("optim_wrapper", "clip_grad"))
        entries = document.get(("param_scheduler",))
        schedules = [("param_scheduler", i) for i in range(len(entries))] if isinstance(entries, list) else [("param_scheduler",)]
    counted = [path for schedule in schedules for path in _schedule(reading, schedule)]
    counted += _loops(reading)
    for path in counted:
        reading.along(PASSES, *path)
    if counted:
        listed = ", ".join(map(shown, counted[:6]))
        reading.notes.append(f"{listed} count iterations, which are passes of all devices: the export divides them by how much "
                             "larger a pass becomes, and accumulation leaves them alone.")
    _hooks(reading)
    _devices(reading)
    return reading


def _optimizer(reading: Reading, wrapper: Path) -> None:
    document, place = reading.document, (*wrapper, "optimizer")
    several = [key for key, entry in reading.table(*wrapper).items() if isinstance(entry, dict) and "optimizer" in entry]
    if several:
        raise FieldError(shown(wrapper), ", ".join(map(str, several))[:100], "are several optimizers, each with values of its "
                         "own: scale them one at a time, each from a file that has no other")
    based = document.has(("_base_",)) and not document.get((*wrapper, "_delete_")) and not document.get((*place, "_delete_"))
    if document.get((*place, "type")) is None:
        raise FieldError(shown((*place, "type")), None, f"is not in the file: {WHOLE}")
    read_class(reading, (*place, "type"), place)
    if not based:
        return
    for name in [name for name in reading.assumed if name in reading.values]:
        reading.ask(name, f"{shown(reading.places[name])} is not in this file, but may be in its _base_: which {name}?",
                    reading.values.pop(name))
        del reading.assumed[name]
    reading.notes.append(f"_base_ names files that are not read, and may set clipping, accumulation and lengths: {WHOLE}.")


def _clip(reading: Reading, place: Path) -> None:
    if reading.table(*place) and reading.get(*place, "type") in (None, "norm"):
        reading.take("clip_norm", *place, "max_norm")
    elif reading.table(*place):
        reading.notes.append(f"{shown(place)} clips by value, and is not changed: elements of the gradient fall by 1 / "
                             "sqrt(kappa).")


def _schedule(reading: Reading, place: Path) -> list[Path]:
    """The numbers of iterations of a scheduler; its rates move along with lr."""
    table = reading.table(*place)
    for key in ("eta_min", "eta_max", "min_lr"):
        reading.along("lr", *place, key)
    by_epoch = table.get("by_epoch", True) is not False
    if "Momentum" in str(table.get("type")):
        raise FieldError(shown((*place, "type")), table["type"], "sets beta1 anew during the run: take it out, or scale by hand")
    keys: tuple[str, ...] = ("warmup_iters",) if by_epoch else _COUNTS
    if by_epoch and table.get("warmup_by_epoch"):
        keys = ()
    counted: list[Path] = [(*place, key) for key in keys if _is_count(table.get(key))]
    for key in ("milestones", "step"):
        milestones = table.get(key)
        paths = [(*place, key, i) for i in range(len(milestones))] if isinstance(milestones, list) else [(*place, key)]
        if milestones is not None and not by_epoch:
            counted += paths
        elif milestones is not None:
            reading.accounted |= {*paths, (*place, key)}
    return counted


def _loops(reading: Reading) -> list[Path]:
    """Lengths and intervals in iterations."""
    document = reading.document
    counted: list[Path] = [path for path in (("train_cfg", "max_iters"), ("runner", "max_iters")) if document.get(path)]
    if counted or document.get(("train_cfg", "by_epoch")) is False:
        counted += [("train_cfg", "val_interval"), ("evaluation", "interval")]
    counted += [("default_hooks", "logger", "interval"), ("log_config", "interval"), ("custom_hooks_interval",)]
    for place in (("default_hooks", "checkpoint"), ("checkpoint_config",), ("evaluation",)):
        if document.get((*place, "by_epoch")) is False:
            counted.append((*place, "interval"))
    return [path for path in dict.fromkeys(counted) if _is_count(document.get(path))]


def _is_count(value: Any) -> bool:
    return isinstance(as_number(value), int) and not isinstance(value, bool) and as_number(value) > 0


def _hooks(reading: Reading) -> None:
    hooks = reading.document.get(("custom_hooks",))
    for i in range(len(hooks) if isinstance(hooks, list) else 0):
        place = ("custom_hooks", i)
        if "EMA" in str(reading.document.get((*place, "type"))):
            share = reading.number(*place, "momentum") or 2e-4
            label = shown((*place, "momentum"))
            reading.notes.append(f"{label} = {share:g} is the share of the new weights at every pass: where a pass becomes k "
                                 f"times larger, set it to 1 - (1 - {share:g})^k.")
            reading.along(PASSES, *place, "begin_iter")


def _devices(reading: Reading) -> None:
    """The number of devices is asked for; auto_scale_lr tells for how many the rates are meant."""
    meant = reading.number("auto_scale_lr", "base_batch_size")
    devices, rest = divmod(meant or 0, reading.batch["per_device"] or 1)
    if meant and not rest and devices and reading.batch["per_device"]:
        reading.ask("devices", f"{DEVICES.text} (auto_scale_lr.base_batch_size = {meant:g} would be {devices:g} of them.)",
                    int(devices))


IRRELEVANT = (
    "auto_scale_lr.base_batch_size", "base_lr", "lr", "max_iters", "val_dataloader.batch_size", "test_dataloader.batch_size",
    "model*.eps", "model*.momentum", "model*.beta", "*.lr_mult", "*.decay_mult", "*.norm_decay_mult", "*.bias_decay_mult",
    "*.bias_lr_mult", "*.flat_decay_mult", "*.paramwise_cfg.decay_rate", "*.warmup_ratio",
)
FORMAT = Format("mmengine", "mmengine (OpenMMLab)", ("python",), fits, read, over=("torchtitan",), irrelevant=IRRELEVANT)
