"""The batch in parts: what it refuses, and the ways to a global batch against plain enumeration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.rules import FieldError
from sqrtscale.rules.batch import Batch, nearest, ways_to

small = st.integers(1, 40)


def test_the_global_batch_is_the_product():
    assert (Batch(32).size, Batch(4, 2, 8).size, str(Batch(4, 2, 8))) == (32, 64, "4 × 2 × 8")


@pytest.mark.parametrize("arguments, field", [
    ((0,), "per_device"), ((2.5,), "per_device"), (("8",), "per_device"), ((True,), "per_device"), ((10**13,), "per_device"),
    ((8, 0), "accumulation"), ((8, 10**7), "accumulation"), ((8, 1, -1), "devices"), ((8, 1, 10**7), "devices"),
])
def test_parts_are_whole_numbers(arguments, field):
    with pytest.raises(FieldError, match=rf"^{field} = .* is not allowed: give a whole number from 1 to .*, for example"):
        Batch(*arguments)


@given(st.integers(1, 400), small, small)
def test_ways_are_those_that_enumeration_finds(target, per_device, devices):
    """For each number of devices (1, 2, 4 ..., and all) the fitting batch with the fewest passes."""
    counts = {count for count in range(1, devices + 1) if count == devices or count.bit_count() == 1}
    best = {}
    for count in counts:
        for own in range(1, per_device + 1):  # the last that fits is the largest, with the fewest passes
            if target % (own * count) == 0:
                best[count] = (own, target // (own * count), count)
    found = ways_to(target, per_device, devices)
    assert [(way.per_device, way.accumulation, way.devices) for way in found] == [best[count] for count in sorted(best)]


@given(st.integers(1, 1000), small, small)
def test_nearest_is_nearest(target, per_device, devices):
    found = nearest(target, per_device, devices)
    assert (found.per_device, found.devices) == (per_device, devices)
    off = min(abs(per_device * passes * devices - target) for passes in range(1, target + 2))
    assert abs(found.size - target) == off


@pytest.mark.parametrize("find", [ways_to, nearest])
@pytest.mark.parametrize("arguments, field", [((0, 1, 1), "target_batch"), ((2.5, 1, 1), "target_batch"),
                                              ((8, 0, 1), "per_device"), ((8, 1, 0), "devices"), ((8, 1, "2"), "devices")])
def test_ways_and_nearest_name_what_is_wrong(find, arguments, field):
    with pytest.raises(FieldError, match=rf"^{field} = "):
        find(*arguments)


def test_there_may_be_no_way():
    assert ways_to(7, 3, 2) == (Batch(1, 7, 1),)
    assert ways_to(10**9 + 7, 8, 1) == ()  # a prime: nobody accumulates a milliard passes
