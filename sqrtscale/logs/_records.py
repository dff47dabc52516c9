"""TFRecord files in blocks: the place and length of each record, its checksums verified, many records at once.

A record: length (8 bytes), masked CRC-32C of it (4), the data, masked CRC-32C of the data (4). Looked up: tensorflow.org,
"TFRecord and tf.train.Example"; RFC 3720, appendix B.4, for the polynomial.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ._source import refuse

BLOCK = 2**23
LARGEST = 2**16  # a longer record holds an image, a graph or text, and no scalar
HEADER, FOOTER = 12, 4


def _table() -> np.ndarray:
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(0x82F63B78), crc >> 1).astype(np.uint32)
    return crc


TABLE = _table()


def masked_crc(rows: np.ndarray) -> np.ndarray:
    """The masked CRC-32C of every row of bytes [rows, length]."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in np.ascontiguousarray(rows.T):
        crc = TABLE[(crc ^ column) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    crc = ~crc
    masked: np.ndarray = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    return masked


def groups(path: Path, file: IO[bytes]) -> Iterator[tuple[np.ndarray, np.ndarray] | None]:
    """(numbers of records in the file's order, their bytes [records, length]) of records of one length, block by block.

    None at last where the file ends within a record, as one does that is still being written. Refuses damage.
    """
    rest, number, place = b"", 0, 0
    while True:
        read = file.read(BLOCK)
        data = rest + read
        starts, lengths, used = _scan(path, data, place)
        yield from _by_length(path, data, starts, lengths, number)
        number += len(starts)
        place += used
        rest = data[used:]
        if not read:
            break
    if rest:
        yield None


def _scan(path: Path, data: bytes, place: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The starts and lengths of the whole records in ``data``, and how many bytes they take."""
    starts, lengths, at = [], [], 0
    while at + HEADER <= len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        if length > 2**31:
            raise refuse(path, f"is damaged at byte {place + at}: copy it again")
        after = at + HEADER + length + FOOTER
        if after > len(data):
            break
        starts.append(at)
        lengths.append(length)
        at = after
    return np.array(starts, np.int64), np.array(lengths, np.int64), at


def _by_length(
    path: Path, data: bytes, starts: np.ndarray, lengths: np.ndarray, number: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    content = np.frombuffer(data, np.uint8)
    for length in np.unique(lengths):
        which = np.flatnonzero(lengths == length)
        if length > LARGEST:
            continue
        size = HEADER + int(length) + FOOTER
        rows = np.lib.stride_tricks.sliding_window_view(content, size)[starts[which]]
        for first, last, stored in ((0, 8, 8), (HEADER, HEADER + int(length), HEADER + int(length))):
            sums = np.ascontiguousarray(rows[:, stored : stored + 4]).view("<u4")[:, 0]
            if (masked_crc(rows[:, first:last]) != sums).any():
                raise refuse(path, "is damaged, a checksum in it is wrong: copy it again")
        yield which + number, rows[:, HEADER : HEADER + int(length)]
