"""What the library says in words, and where it places a calibration."""

import math
from datetime import UTC, datetime

import pytest

from sqrtscale.report.library import places, sentence
from sqrtscale.store import CalibrationSummary


def row(target, outcome="matches", base=8, noise=(500.0, 250.0, 1000.0)):
    return CalibrationSummary(kind="calibration", 
        id="x", name="", state="DONE", reason="", task="digits", optimizer="adam", base_batch=base, target_batch=target, seeds=3,
        start="warm", lr=1e-3, scaled_lr=2e-3, created_at=datetime(2026, 1, 1, tzinfo=UTC), ended_at=None, deleted_at=None,
        progress=1.0, final={}, tags=(), outcome=outcome, noise_scale=noise[0], noise_low=noise[1], noise_high=noise[2])


@pytest.mark.parametrize("rows, text", [
    ([row(64)], "1 calibration: 1 matches. The rule was seen to hold up to kappa = 8."),
    ([row(64), row(128), row(32), row(64, "differs"), row(512, "not a test")],
     "5 calibrations: 3 match, 1 differs, 1 was not a test. The rule was seen to hold up to kappa = 16; it was seen to fail at "
     "kappa = 8."),
    ([row(16), row(2), row(1, "differs"), row(4, "differs"), row(12, "differs")],
     "5 calibrations: 2 match, 3 differ. The rule was seen to hold up to kappa = 2 and down to kappa = 1/4; it was seen to fail "
     "at kappa = 1/8, 1/2 and 1.5."),
    ([row(2)], "1 calibration: 1 matches. The rule was seen to hold down to kappa = 1/4."),
    ([row(64, "cannot tell"), row(64, "cannot tell"), row(64, "not a test"), row(64, "not a test")],
     "4 calibrations: 2 cannot tell yet, 2 were not a test. The rule was not seen to hold."),
    ([row(8 * kappa, "differs") for kappa in range(2, 9)],
     "7 calibrations: 7 differ. The rule was not seen to hold; it was seen to fail at kappa = 2, 3, 4 ... 8."),
    ([], "No calibration of this kind has been judged yet."),
])
def test_the_answer_in_words(rows, text):
    assert sentence(rows) == text


def test_where_only_the_newest_are_counted_the_answer_says_so():
    rows = [row(64), row(32)]
    assert sentence(rows, 2) == sentence(rows)
    assert sentence(rows, 3412) == "The newest 2 of 3,412 calibrations: 2 match. The rule was seen to hold up to kappa = 8."


def test_a_place_is_the_larger_batch_in_noise_scales():
    """64 of 500 samples: 0.128, from 64 / 1000 to 64 / 250; downwards the base batch is the larger one."""
    (up,), (down,) = places([row(64)]), places([row(4, base=32)])
    assert (up.kappa, up.share, up.low, up.high, up.bound) == (8, 0.128, 0.064, 0.256, False)
    assert (down.kappa, down.share) == (0.125, 0.064)


@pytest.mark.parametrize("noise, place", [
    ((math.inf, 250.0, math.inf), (0.256, 0.0, 0.256, True)),  # no signal was seen: at most 64 / 250
    ((500.0, 0.0, math.inf), (0.128, 0.0, math.inf, False)),  # one pair has no interval
    ((math.inf, 0.0, math.inf), None), ((math.inf,) * 3, None), ((None, None, None), None),
])
def test_a_noise_scale_that_was_not_measured_or_only_bounded(noise, place):
    assert [(one.share, one.low, one.high, one.bound) for one in places([row(64, noise=noise)])] == ([place] if place else [])
