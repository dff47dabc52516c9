"""Keys by which a program scales its learning rate with the batch by itself: scaled twice is scaled wrongly.

Works on any mapping, and on text that no format here can read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from ._document import dotted, entries

_OFF = (None, False, 0, "", "none", "null", "constant", "false", "off")


def _is_on(value: Any) -> bool:
    return not isinstance(value, (dict, list)) and (value.lower() if isinstance(value, str) else value) not in _OFF


def _is_number_on(value: Any) -> bool:
    return isinstance(value, (int, float, str)) and _is_on(value)


def _enabled(*names: str, default: bool) -> Callable[[Any], bool]:
    def test(value: Any) -> bool:
        if isinstance(value, dict):
            return _is_on(next((value[name] for name in names if name in value), default))
        return _is_on(value)

    return test


def _dynamic_batching(value: Any) -> bool:
    return isinstance(value, dict) and _is_on(value.get("enabled", False)) and _is_on(value.get("lr_scaling_method", "linear"))


KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "auto_scale_lr": (
        _enabled("enable", default=False),
        "mmengine multiplies lr by batch / base_batch_size, linearly and for "
        "every optimizer: set enable=False and give the scaled lr.",
    ),
    "blr": (
        _is_number_on,
        "the program computes lr = blr x batch of one device x accumulation x devices / 256: set lr itself, and take blr out.",
    ),
    "base_lr": (
        _is_number_on,
        "programs with a base_lr (DINOv2 and kin) mostly compute lr from it and the batch, base_lr x batch / 256 or "
        "by a root: look, and give the base_lr that yields the scaled lr, or lr itself.",
    ),
    "lr_scale": (_is_on, "the program may multiply lr by it together with its batch: look, and turn it off."),
    "lr_scale_sqrt": (
        _is_on,
        "the program multiplies lr by the root of its batch or devices: set it to false and give the scaled lr.",
    ),
    "parallel_scaling_policy": (
        _is_on,
        "the program multiplies lr by the number of workers or its root (and beta1, beta2 and eps beside it "
        "are per worker): set it to none and give the scaled values.",
    ),
    "lr_scaling_policy": (
        _is_on,
        "the program scales lr with its batch or devices by itself: set it to none and give the scaled lr.",
    ),
    "scale_lr": (_is_on, "the script multiplies lr by accumulation x batch x devices: set it to false and give the scaled lr."),
    "scaling_rule": (_is_on, "the program scales lr with its batch: turn it off, or give a base lr that yields the scaled one."),
    "dynamic_batching": (
        _dynamic_batching,
        'DeepSpeed scales lr at every step by its batch (lr_scaling_method, or linearly): set lr_scaling_method to "none".',
    ),
    "basic_lr_per_img": (_is_on, "YOLOX multiplies it by the batch: give scaled lr / target batch."),
    "nbs": (
        _is_on,
        "ultralytics accumulates up to nbs samples and multiplies weight_decay by batch x accumulation / nbs: set nbs "
        "to the target batch.",
    ),
    "learning_rate_scaling": (_is_on, 'Ludwig multiplies lr by the number of workers: set it to "constant".'),
    "learning_rate_scaler": (_is_on, "OneTrainer multiplies lr by the root of the batch: set it to NONE."),
    "REFERENCE_WORLD_SIZE": (_is_on, "detectron2 scales lr, batch and steps by devices / REFERENCE_WORLD_SIZE: set it to 0."),
    "mini-batch-words-ref": (_is_on, "Marian multiplies lr and the averaging by words / reference: set it to 0."),
}
_WORKERS = "the program multiplies by the number of workers (a learning rate, mostly): take that out, and give the scaled lr."
_IN_TEXT = {  # bounded on purpose: a text may hold any of these a thousand times
    "auto_scale_lr": r"auto[_-]scale[_-]lr\b(?!\s{0,20}=\s{0,20}(?:False|None|dict\([^)]{0,200}enable\s{0,20}=\s{0,20}False))",
    "scale_lr": r"(?<![\w-])--scale[_-]lr\b|(?<![\w-])scale_lr\s{0,20}[:=]\s{0,20}[Tt]rue",
    "scaling_rule": r"\bscaling_rule\s{0,20}[:=]\s{0,20}(?!none|null|None)\S",
    "basic_lr_per_img": r"\bbasic_lr_per_img\s{0,20}=",
    "mini-batch-words-ref": r"--mini-batch-words-ref\s{1,20}[1-9]",
    "blr": r"(?<![\w-])--blr[ =]|\bblr\s{0,20}[:=]\s{0,20}[\d.]",
    "hvd.size()": r"\bhvd\.size\(\)",
    "num_processes": r"\*=?\s{0,20}(?:\w{1,40}\.){0,3}(?:num_processes|world_size|get_world_size\(\))",
}


def double_scaling(data: Any, irrelevant: Iterable[str] = ()) -> tuple[str, ...]:
    """One sentence for each key in the data (at any depth) by which the program scales with the batch again.

    irrelevant: dotted names, with ``*`` for anything, by which that program does not.
    """
    warnings: dict[str, str] = {}
    for path, value in entries(data):
        key, name = path[-1], dotted(path)
        if key in KEYS and KEYS[key][0](value) and not any(fnmatchcase(name, pattern) for pattern in irrelevant):
            warnings[name] = f"{name}: {KEYS[key][1]}"
    return tuple(warnings[path] for path in sorted(warnings))


def double_scaling_in_text(text: str) -> tuple[str, ...]:
    """The same for a text that is no data: a command line, an mmengine or YOLOX configuration in Python."""
    return tuple(
        f"{name}: {KEYS[name][1] if name in KEYS else _WORKERS}" for name, pattern in _IN_TEXT.items() if re.search(pattern, text)
    )
