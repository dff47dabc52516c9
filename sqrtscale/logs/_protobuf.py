"""Protocol buffers' wire format: the fields of a message by number, as far as readers of logs need it.

Looked up: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5


class Broken(ValueError):
    """Bytes that are no message."""


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """(number, wire type, first byte, byte behind it) of every field; for a varint the bytes of the number itself."""
    end = len(data) if end is None else end
    while start < end:
        tag, start = varint(data, start, end)
        kind = tag & 7
        if kind == VARINT:
            after = varint(data, start, end)[1]
        elif kind == BYTES:
            length, start = varint(data, start, end)
            after = start + length
        elif kind in (DOUBLE, FLOAT):
            after = start + (8 if kind == DOUBLE else 4)
        else:
            raise Broken(f"wire type {kind}")
        if after > end:
            raise Broken("a field ends behind its message")
        yield tag >> 3, kind, start, after
        start = after


def varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The whole number that begins at ``start``, and where it ends."""
    value = shift = 0
    while start < end and shift < 70:
        byte = data[start]
        value |= (byte & 0x7F) << shift
        start += 1
        if byte < 0x80:
            return value, start
        shift += 7
    raise Broken("a number without an end")


def signed(value: int) -> int:
    """A 64-bit number with its sign."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value
