"""The figure of the library: marks where they belong, told apart without colours, and readable ticks."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sqrtscale.evidence import OUTCOMES
from sqrtscale.report.library import places
from sqrtscale.store import CalibrationSummary
from sqrtscale.ui.library_charts import verdicts

ROW = CalibrationSummary(kind="calibration", 
    id="x", name="first <b>", state="DONE", reason="", task="digits", optimizer="adam", base_batch=8, target_batch=64, seeds=3,
    start="warm", lr=1e-3, scaled_lr=2e-3, created_at=datetime(2026, 1, 1, tzinfo=UTC), ended_at=None, deleted_at=None,
    progress=1.0, final={}, tags=(), outcome="matches", noise_scale=500.0, noise_low=250.0, noise_high=1000.0)


def test_every_verdict_has_a_mark_and_a_sign_of_its_own():
    figure = verdicts(places([replace(ROW, outcome=outcome) for outcome in OUTCOMES]))
    assert len({trace.marker.symbol for trace in figure.data}) == len({trace.name[0] for trace in figure.data}) == len(OUTCOMES)
    assert [trace.name[2:] for trace in figure.data] == list(OUTCOMES)


def test_a_mark_says_which_calibration_it_is_and_how_sure_its_place():
    (trace,) = verdicts(places([ROW])).data
    assert (list(trace.x), list(trace.y)) == ([8], [0.128])
    assert (list(trace.error_y.array), list(trace.error_y.arrayminus)) == ([pytest.approx(0.128)], [pytest.approx(0.064)])
    (words,) = trace.customdata
    assert words.startswith("<b>first &lt;b></b><br>✓ matches<br>Adam, digits, batch 8 → 64, κ = 8<br>noise scale 500 samples")
    (bounded,) = verdicts(places([replace(ROW, noise_scale=math.inf, noise_high=math.inf)])).data
    assert "noise scale above 250" in bounded.customdata[0]


def test_intervals_of_many_do_not_hide_the_marks():
    assert verdicts(places([ROW] * 60)).data[0].error_y.array is not None
    assert verdicts(places([ROW] * 61)).data[0].error_y.array is None


@pytest.mark.parametrize("targets, ticks", [
    ([64], ["8"]), ([4, 64], ["1/2", "1", "2", "4", "8"]), ([12], ["1", "2"]), ([8 * 2**20, 8], ["1", "4", "16", "64"]),
])
def test_kappa_is_read_in_powers_of_two(targets, ticks):
    axis = verdicts(places([replace(ROW, target_batch=target) for target in targets])).layout.xaxis
    assert list(axis.ticktext)[: len(ticks)] == ticks and len(axis.ticktext) <= 12
    low, high = axis.range
    assert all(low < math.log10(target / 8) < high for target in targets)


@pytest.mark.parametrize("noise_scale", [1e-3, 1.0, 64.0, 1e9])
def test_the_line_where_the_batch_is_the_noise_scale_is_always_in_sight(noise_scale):
    low, high = verdicts(places([replace(ROW, noise_scale=noise_scale)])).layout.yaxis.range
    assert low < 0 < high and low < math.log10(64 / noise_scale) < high


def test_imported_runs_have_no_optimizer_to_name():
    (trace,) = verdicts(places([replace(ROW, kind="imported", task="imported", optimizer="")])).data
    assert "matches<br>imported, batch 8" in trace.customdata[0]
