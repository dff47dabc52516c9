"""The noise scale beside the batches: every number where it belongs, also where the interval is open."""

from __future__ import annotations

import math

import pytest

from sqrtscale.tasks import NoiseScale
from sqrtscale.ui.colours import BASE, SCALED
from sqrtscale.ui.noise_chart import figure


def trace(drawn, name: str):
    return next(one for one in drawn.data if one.name == name)


def test_batches_and_interval_stand_where_they_are():
    drawn = figure(8, [64, 16, 64], NoiseScale(600, 500, 720, "measured"))
    assert (trace(drawn, "base").x, trace(drawn, "base").marker.color) == ((8,), BASE)
    assert (trace(drawn, "target").x, trace(drawn, "target").text) == ((16, 64), ("16", "64"))
    assert trace(drawn, "target").marker.color == SCALED
    scale = trace(drawn, "noise scale")
    assert (scale.x[0], scale.x[0] - scale.error_x.arrayminus[0], scale.x[0] + scale.error_x.array[0]) == (600, 500, 720)
    (grey,) = drawn.layout.shapes  # from the upper end of the interval: above it no batch tests the rule
    low, high = drawn.layout.xaxis.range
    assert grey.x0 == 720 and math.log10(grey.x1) == pytest.approx(high) and 10**low == pytest.approx(8 / 3)


@pytest.mark.parametrize("scale", [NoiseScale(900, 200, math.inf, "m"), NoiseScale(math.inf, 200, math.inf, "m"),
                                   NoiseScale(900, 0, math.inf, "m"), NoiseScale(math.nan, 0, math.inf, "m")])
def test_an_open_interval_ends_at_the_axis_and_nothing_is_grey(scale):
    drawn = figure(8, [64], scale)
    shown = trace(drawn, "noise scale")
    low, high = (10**end for end in drawn.layout.xaxis.range)
    assert shown.x[0] + shown.error_x.array[0] == pytest.approx(high) and not drawn.layout.shapes
    assert shown.x[0] - shown.error_x.arrayminus[0] == pytest.approx(max(scale.low, low))
    assert all(math.isfinite(end) for end in (low, high, *shown.x))


def test_a_target_above_the_noise_scale_is_in_the_grey_part():
    drawn = figure(256, [1024], NoiseScale(600, 500, 720, "measured"))
    (grey,) = drawn.layout.shapes
    assert grey.x0 < 1024 < grey.x1 and not grey.x0 < 256
