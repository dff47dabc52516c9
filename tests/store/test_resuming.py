"""The one way out of a final state, and forgetting what came after a snapshot."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import stored

from sqrtscale.plan import WARM_START
from sqrtscale.store import FINAL_STATES, RESUMABLE_STATES, RESUMED, Result
from sqrtscale.training.events import Measured

PLAN = stored.plan(arms=["base", "scaled"])
RUNS = {run: i for i, run in enumerate(PLAN.runs)}


@pytest.mark.parametrize("state", FINAL_STATES)
def test_only_what_has_ended_before_it_was_done_is_queued_again(store, state):
    id = stored.calibration(store, state, chosen=PLAN, reason="a reason", ended={("base", 0): ("DONE", "")})
    store.set_verdict(id, Result(outcome="cannot tell", difference=0.1))
    store.request_cancel(id)
    before = store.get(id)
    assert store.resume(id, host="here", boot_id="now") == (state in RESUMABLE_STATES) == (state != "DONE")
    record = store.get(id)
    if state == "DONE":
        assert record == before
        return
    assert (record.state, record.reason, record.outcome, record.judged, record.pid) == ("QUEUED", "", "", False, None)
    assert (record.host, record.boot_id) == ("here", "now")  # with the state: who takes it up writes its own
    assert record.ended_at is None and not store.cancel_requested(id) and record.done == before.done
    assert {run.state for run in record.runs} == {"DONE", "QUEUED"}
    assert [(kind, data) for _, kind, data in store.events(id) if kind == RESUMED] == [
        (RESUMED, {"state": state, "reason": "a reason"})]
    assert not store.resume(id)  # it is queued


def test_a_deleted_one_stays_where_it_is(store):
    id = stored.calibration(store, "FAILED", chosen=PLAN)
    store.delete(id)
    assert not store.resume(id) and store.get(id).state == "FAILED"


def test_a_rewound_curve_is_one_that_was_never_longer(store):
    """Points of three runs up to different places, one of which had diverged; best values among them, NaN at an end."""
    last = {run: [1600, 800, -1, 3200][i % 4] for run, i in RUNS.items()}
    measured = stored.points(PLAN)
    measured = [replace(point, values={"val_loss": math.nan}) if (point.arm, point.seed) == ("base", 0) and point.samples == 800
                else point for point in measured]
    kept = [point for point in measured if point.samples <= last[point.arm, point.seed]]
    never, longer = (stored.calibration(store, "RUNNING", chosen=PLAN, measured=points) for points in (kept, measured))
    for id in (never, longer):
        store.end_run(id, "base", 0, "DIVERGED", "a reason")
    store.end_run(longer, "scaled", 1, "SKIPPED", "not needed")
    store.rewind(longer, {run: samples for run, samples in last.items() if samples >= 0}, {("base", 0)})
    pd.testing.assert_frame_equal(store.curves(longer), store.curves(never), check_exact=True)
    for mine, other in zip(store.get(longer).runs, store.get(never).runs, strict=True):
        assert repr(mine) == repr(other)
    assert len({repr(summary.final) for summary in store.summaries()}) == 1
    store.write_points(longer, [Measured("scaled", 0, 4000, {"val_loss": 1.0})])  # and it goes on
    assert store.curves(longer)["samples"].max() == 4000


FULL = {"reached": {run: 6400 for run in RUNS if run[0] != WARM_START} | {(WARM_START, 0): 3200}, "ended": {("base", 0)}}


@pytest.mark.parametrize("counts_on", [
    {}, {"reached": {("base", 1): 6401}}, {"ended": {("base", 1)}}, {"ended": {("scaled", 0)}}, {"taken": {("base", 0)}}])
def test_a_store_that_has_less_than_a_snapshot_counts_on_stays_as_it_is(store, counts_on):
    """Nothing less; a point, an end, the end of a run that was only skipped, and a run of another calibration less."""
    id = stored.calibration(store, "FAILED", chosen=PLAN, ended={("base", 0): ("DIVERGED", ""), ("scaled", 0): ("SKIPPED", "")})
    store.resume(id)
    before, curves = store.get(id), store.curves(id)
    assert store.rewind(id, **FULL | counts_on) is (not counts_on)
    pd.testing.assert_frame_equal(store.curves(id), curves, check_exact=True)
    assert (store.get(id) == before) is bool(counts_on)


def test_what_begins_anew_has_nothing(store):
    id = stored.calibration(store, "FAILED", chosen=PLAN, ended={("base", 0): ("DONE", ""), (WARM_START, 0): ("DONE", "")})
    store.resume(id)
    store.rewind(id, None)
    assert store.curves(id).empty and {(run.state, *run.final, *run.best) for run in store.get(id).runs} == {("QUEUED",)}
