"""The bytes of a chunk."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Store
from sqrtscale.store.chunks import CAPACITY, DamagedChunk, decode, encode
from sqrtscale.training.events import Measured

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


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store.open(f"sqlite:///{tmp_path_factory.mktemp('chunks') / 'some.db'}")
    yield opened
    opened.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.floats(), max_size=30), max_size=6), st.integers(1, CAPACITY))
@example([[1.0]], 1)
@example([[float("nan")], [float("inf"), float("-inf")]], 1250)
@example([[0.5] * 2, [float("nan")] * 3], 500)
def test_writes_of_any_size_make_one_curve(store, batches, times):
    """Each batch is repeated, so that some end within a chunk, some on its edge and some fill several."""
    id = store.create(make_plan("digits", TrainingConfig("adam", 8), 64, seeds=1, samples=640))
    batches = [batch * (times // max(1, len(batch)) or 1) for batch in batches]
    wanted = [value for batch in batches for value in batch]
    samples = iter(range(0, 8 * len(wanted), 8))
    for batch in batches:
        store.write_points(id, [Measured("base", 0, next(samples), {"val_loss": value}) for value in batch])
    curve = store.curves(id)
    np.testing.assert_array_equal(curve["samples"], 8 * np.arange(len(wanted)))
    np.testing.assert_array_equal(curve["value"], np.array(wanted, np.float64))
