"""The bytes of a chunk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.store.chunks import DamagedChunk, decode, encode

points = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats()), max_size=1000)


@given(points)
def test_every_point_comes_back(pairs):
    samples = np.array([sample for sample, _ in pairs], np.int64)
    values = np.array([value for _, value in pairs], np.float64)
    again = decode(encode(samples, values))
    np.testing.assert_array_equal(again[0], samples)
    np.testing.assert_array_equal(again[1], values)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place, change):
    data = bytearray(encode(np.arange(50), np.linspace(0, 1, 50)))
    data[place % len(data)] ^= change
    with pytest.raises(DamagedChunk):
        decode(bytes(data))


def test_a_short_piece_is_noticed():
    with pytest.raises(DamagedChunk, match="shorter than its head"):
        decode(b"\x01")
