"""A piece of a curve as bytes: up to 1,000 points, compressed, with a version and a checksum.

Layout: version (1 byte), CRC-32 of the rest (4 bytes, little-endian), then zlib of n samples (int64,
little-endian) followed by n values (float64, little-endian). NaN and infinity are ordinary values.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

VERSION = 1
CAPACITY = 1000
_HEAD = struct.Struct("<BI")


class DamagedChunk(ValueError):
    """Bytes that are not a chunk, or not the one that was written."""


def encode(samples: np.ndarray, values: np.ndarray) -> bytes:
    """Points as bytes; ``samples`` and ``values`` have the same length, at most CAPACITY."""
    body = zlib.compress(np.asarray(samples, "<i8").tobytes() + np.asarray(values, "<f8").tobytes(), 1)
    return _HEAD.pack(VERSION, zlib.crc32(body)) + body


def decode(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(samples int64, values float64); raises DamagedChunk."""
    if len(data) < _HEAD.size:
        raise DamagedChunk("it is shorter than its head")
    version, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if version != VERSION:
        raise DamagedChunk(f"it has version {version}, and this program reads version {VERSION}")
    if zlib.crc32(body) != checksum:
        raise DamagedChunk("its checksum is wrong")
    raw = zlib.decompress(body)
    half = len(raw) // 2
    return np.frombuffer(raw[:half], "<i8").astype(np.int64), np.frombuffer(raw[half:], "<f8").astype(np.float64)
