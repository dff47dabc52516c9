"""Lines that a training prints: "iter 100: loss 2.3, time 12ms", "step 250: train loss 2.1, val loss 2.2" ...

Looked up: nanoGPT, train.py; modded-nanogpt, train_gpt.py ("step:100/1750 val_loss:4.1 train_time:1000ms"); nanochat,
scripts/base_train.py ("step 00100/02000 (5.0%) | loss: 3.2 | ..."); Megatron-LM, megatron/training/training.py ("iteration
100/ 500000 | consumed samples: 25600 | lm loss: 6.7E+00 | ...").
"""

from __future__ import annotations

import re
from pathlib import Path

from ._series import Names, Reading, Rows
from ._source import first_lines, lines, refuse

TITLE = "lines of text (nanoGPT and the like)"
GENERAL = True
COLOUR = re.compile(r"\x1b\[[\d;]*m")
NUMBER = r"[-+]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?nan|[-+]?inf"
START = re.compile(r"\b(?:iter|iteration|step)\s*[:=]?\s*(\d+)(?:\s*/\s*\d+)?(?:\s*\([^)]*\))?\s*[:|,]?\s*", re.IGNORECASE)
PAIR = re.compile(
    rf"(?P<name>[A-Za-z_][\w/.@-]*(?:[ -][A-Za-z_(][\w/.)-]*)*)\s*(?:[:=]\s*|\s+)(?P<number>{NUMBER})(?P<unit>[a-z%]*)(?![\w.])",
    re.IGNORECASE,
)


def recognises(path: Path, head: bytes) -> str:
    if head.lstrip()[:1] == b"{":  # JSON
        return ""
    for line in first_lines(head):
        if pairs := pairs_of(line):
            return f"the line {line.strip()[:60]!r}" if len(pairs) > 1 else ""
    return ""


def pairs_of(line: str) -> dict[str, float]:
    """The step and every named number of a line; empty where it is no line of a training."""
    line = COLOUR.sub("", line)
    start = START.search(line)
    if start is None or len(line) > 4096:
        return {}
    pairs = {"step": float(start[1])}
    for part in re.split(r"\s*\|\s*|,\s+", line[start.end() :]):
        for match in PAIR.finditer(part):
            pairs.setdefault(match["name"], float(match["number"].replace(",", "")))
    return pairs if len(pairs) > 1 else {}


def read(path: Path, names: Names) -> Reading:
    rows = Rows(path)
    for line in lines(path):
        if pairs := pairs_of(line):
            rows.add(pairs)
    if not rows.runs:
        raise refuse(path, 'has no line like "iter 100: loss 2.3": give a log with such lines, CSV or JSON lines')
    return rows.reading(names)
