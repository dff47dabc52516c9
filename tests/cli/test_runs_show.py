"""What ``runs show`` says of a stored calibration: the verdict's own numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stored

from sqrtscale.cli.runs import record_text
from sqrtscale.report import verdicts
from sqrtscale.store import Store


@pytest.fixture
def store(home) -> Iterator[Store]:
    opened = Store.open()
    yield opened
    opened.close()


@pytest.mark.parametrize("early, confidence", [(False, "90%"), (True, "97.7%")])
def test_the_interval_is_that_of_the_verdict_and_names_its_confidence(store, early, confidence):
    """After three of five seeds 2 (1 - Phi(1.96 / sqrt(3 / 5))) = 0.0114 may be spent, and as much at the other side: 97.7 %."""
    chosen = stored.plan(seeds=5, stop_early=early)
    few = [point for point in stored.points(chosen) if point.seed < 3]
    ended = {run: ("DONE" if run[1] < 3 else "SKIPPED", "") for run in chosen.runs}
    record = store.get(stored.calibration(store, chosen=chosen, measured=few, ended=ended))
    test = verdicts(record, store.curves(record.id))["scaled"].end
    shown = record_text(store, record)
    assert f"difference to base ({confidence} interval)" in shown and "+-" not in shown
    assert f"{test.difference:+.5f} ({test.low:+.5f} to {test.high:+.5f})" in shown


def test_one_that_was_stopped_at_its_branch_point_shows_no_ends(store):
    shown = record_text(store, store.get(stored.stopped(store)))
    assert "This run does not test the scaling" in shown and "It was stopped after the warm start" in shown
    assert "the noise scale is 1.98 samples" in shown and "end val_loss" not in shown and "no seed has a curve" not in shown
