"""The hyperparameters on a Hugging Face model card: lines "- key: value", wherever on the card they stand."""

from __future__ import annotations

import re
from typing import Any

from ..rules import FieldError
from ._document import Document, Path, refuse
from ._yaml import parse_number

KEYS = ("learning_rate", "train_batch_size", "gradient_accumulation_steps", "num_devices", "total_train_batch_size", "optimizer",
        "lr_scheduler_type", "lr_scheduler_warmup_ratio", "lr_scheduler_warmup_steps", "training_steps", "num_epochs",
        "label_smoothing_factor", "eval_batch_size", "total_eval_batch_size", "seed", "distributed_type")
_LINE = re.compile(r"^[ \t]*[-*] (\w+):[ \t]*(\S(?:[^\n]*\S)?)[ \t\r]*$", re.MULTILINE)
_PAIR = re.compile(r"betas=\(\s*([^,\s()]+)\s*,\s*([^,\s()]+)\s*\)")
_EPSILON = re.compile(r"epsilon=([-+\w.]+)")


def parse(text: str) -> Document:
    """The document; raises FieldError where a line stands twice or there is none."""
    data: dict[str, Any] = {}
    spans: dict[Path, tuple[int, int]] = {}
    keys: dict[Path, int] = {}
    for line in _LINE.finditer(text):
        key = line[1]
        if key not in KEYS:
            continue
        if key in data:
            raise FieldError(key, line[2], "stands twice on the card: give the list of one training run")
        value = parse_number(line[2])
        data[key] = line[2] if value is None else value
        spans[(key,)] = line.span(2)
        keys[(key,)] = line.start() + line[0].index(line[0].strip()[0])
        if key == "optimizer":
            data["optimizer"] = _optimizer(line[2], line.start(2), spans)
    if not data:
        raise refuse(text, 'is not a model card with hyperparameters: paste its list "- learning_rate: ..."')
    return Document(text, "card", data, spans, keys)


def _optimizer(text: str, start: int, spans: dict[Path, tuple[int, int]]) -> dict[str, Any]:
    """The parts of "Use adamw_torch with betas=(0.9,0.999) and epsilon=1e-08 and optimizer_args=..."."""
    words = text.removeprefix("Use ").split()
    parts: dict[str, Any] = {"name": words[0] if words else "", "text": text}
    for names, pattern in ((("beta1", "beta2"), _PAIR), (("eps",), _EPSILON)):
        match = pattern.search(text)
        if match is None:
            continue
        for i, name in enumerate(names, 1):
            value = parse_number(match[i])
            parts[name] = match[i] if value is None else value
            spans[("optimizer", name)] = (start + match.start(i), start + match.end(i))
    return parts
