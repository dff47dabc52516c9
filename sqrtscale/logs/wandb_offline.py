"""The run-<id>.wandb file of Weights & Biases, which an offline run (and a synced one) leaves in its folder.

Looked up: wandb/proto/wandb_internal.proto: Record{2 history, 17 run}, HistoryRecord{1 item, 2 step}, HistoryItem{1 key,
2 nested_key, 16 value_json}, RunRecord{1 run_id, 4 config, 8 display_name}; core/pkg/leveldb: a LevelDB log, blocks of 32 KB
whose first one begins with seven bytes, records in pieces with a header of checksum, length and kind.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from . import _protobuf as wire
from ._series import Names, Reading, Rows
from ._source import opened, reading, refuse
from .wandb_history import history

TITLE = "W&B run file (.wandb)"
MAGIC = b":W&B"
BLOCK, BEGIN, HEADER = 32_768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def recognises(path: Path, head: bytes) -> str:
    return "its first bytes" if head.startswith(MAGIC) else ""


def read(path: Path, names: Names) -> Reading:
    rows, name = Rows(path), None
    parameters: dict[str, str] = {}
    try:
        for record in _records(path):
            for number, kind, start, after in wire.fields(record):
                if kind != wire.BYTES:
                    continue
                if number == 2:
                    rows.add(_items(record, start, after))
                elif number == 17:
                    name = _run(record, start, after, parameters) or name
    except (wire.Broken, ValueError, RecursionError) as error:
        if isinstance(error, (UnicodeDecodeError, wire.Broken)) or type(error) is not ValueError:
            raise refuse(path, "is damaged: copy it again") from error
        raise
    if not rows.runs:
        raise refuse(path, "has no history: give the file of a run that has logged numbers")
    named = Rows(path)
    named.runs = {name: rows.runs[None]}
    return history(named, names, {name: parameters})


def _records(path: Path) -> Iterator[bytes]:
    """The whole records; the last one is left out where the file ends within it."""
    pieces: list[bytes] = []
    with reading(path), opened(path) as file:
        first = True
        while block := file.read(BLOCK):
            at, first = (BEGIN if first else 0), False
            while at + HEADER <= len(block):
                _, length, kind = struct.unpack_from("<IHB", block, at)
                piece = block[at + HEADER : at + HEADER + length]
                at += HEADER + length
                if kind not in (FULL, FIRST, MIDDLE, LAST) or len(piece) < length:
                    break  # the rest of a block that was not filled, or of a run that still goes on
                pieces = [piece] if kind in (FULL, FIRST) else [*pieces, piece]
                if kind in (FULL, LAST):
                    yield b"".join(pieces)


def _items(data: bytes, begin: int, end: int) -> dict[str, object]:
    row: dict[str, object] = {}
    for number, kind, start, after in wire.fields(data, begin, end):
        if number == 1 and kind == wire.BYTES:
            key, value = _item(data, start, after)
            row[key] = value
        elif number == 2 and kind == wire.BYTES:  # HistoryStep{1 num}
            for inner, form, first, last in wire.fields(data, start, after):
                if inner == 1 and form == wire.VARINT:
                    row.setdefault("_step", wire.signed(wire.varint(data, first, last)[0]))
    return row


def _item(data: bytes, begin: int, end: int) -> tuple[str, object]:
    keys: list[str] = []
    value: object = None
    for number, kind, start, after in wire.fields(data, begin, end):
        if kind == wire.BYTES and number in (1, 2):
            keys.append(data[start:after].decode())
        elif kind == wire.BYTES and number == 16:
            value = json.loads(data[start:after])
    return ".".join(keys), value


def _run(data: bytes, begin: int, end: int, parameters: dict[str, str]) -> str | None:
    """The run's name; what its configuration says goes to ``parameters``."""
    texts: dict[int, str] = {}
    for number, kind, start, after in wire.fields(data, begin, end):
        if number in (1, 8) and kind == wire.BYTES:
            texts[number] = data[start:after].decode()
        elif number == 4 and kind == wire.BYTES:
            for inner, form, first, last in wire.fields(data, start, after):
                if inner == 1 and form == wire.BYTES:
                    key, value = _item(data, first, last)
                    if isinstance(value, (str, int, float)) and not key.startswith("_"):
                        parameters[key] = str(value)
    return texts.get(8) or texts.get(1)
