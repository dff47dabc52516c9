"""The store on both databases: what goes in comes out, states move as they may, nothing is lost."""

import math
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sqrtscale.plan import WARM_START, make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import ACTIVE_STATES, FINAL_STATES, Filter, NotFound, Result, Store
from sqrtscale.training.events import Measured

BASE = TrainingConfig("adam", 8, {"lr": 1e-3})


def plan(**changes):
    return make_plan("digits", BASE, 64, **{**dict(seeds=2, samples=640), **changes})


def test_a_new_calibration_is_queued_with_all_its_runs(store):
    id = store.create(plan(), "  first  ")
    record = store.get(id)
    assert (record.state, record.name, record.plan, record.environment) == ("QUEUED", "first", plan(), {})
    assert [(run.arm, run.seed) for run in record.runs] == list(plan().runs)
    assert {run.state for run in record.runs} == {"QUEUED"}
    assert record.runs[-1].config == plan().config_of("linear lr")
    assert abs(record.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert not record.final and record.progress == 0


def test_unknown_id_is_named(store):
    with pytest.raises(NotFound, match="there is no calibration nowhere"):
        store.get("nowhere")
    with pytest.raises(NotFound):
        store.rename("nowhere", "x")
    with pytest.raises(NotFound):
        store.set_verdict("nowhere", Result("matches", "Yes"))
    with pytest.raises(NotFound):
        store.request_cancel("nowhere")


@pytest.mark.parametrize("id", ["", "x\0y", "\ud800", "12 34", "é"])
def test_what_no_id_can_be_is_asked_of_no_database(store, id):
    """PostgreSQL refuses a zero character, and no database takes half a character."""
    with pytest.raises(NotFound):
        store.get(id)


def test_curves_come_back_with_nan_and_infinity_over_many_batches(store):
    id = store.create(plan())
    values = np.random.default_rng(0).normal(size=2500)
    values[[0, 7, 999, 1000, 2499]] = [math.nan, math.inf, -math.inf, math.nan, math.nan]
    for start, end in ((0, 1), (1, 700), (700, 1000), (1000, 2500)):
        store.write_points(id, [Measured("base", 1, 8 * i, {"val_loss": values[i], "val_accuracy": 0.5})
                                for i in range(start, end)])
    store.write_points(id, [Measured("scaled", 0, 0, {"val_loss": 3.0})])
    curves = store.curves(id)
    mine = curves[(curves["arm"] == "base") & (curves["metric"] == "val_loss")]
    np.testing.assert_array_equal(mine["samples"], 8 * np.arange(2500))
    np.testing.assert_array_equal(mine["value"], values)
    assert set(curves["arm"]) == {"base", "scaled"} and set(mine["seed"]) == {1}
    run = next(run for run in store.get(id).runs if (run.arm, run.seed) == ("base", 1))
    assert run.state == "RUNNING" and math.isnan(run.final["val_loss"])
    assert run.best == {"val_loss": -math.inf, "val_accuracy": 0.5}


def test_best_is_the_lowest_loss_and_the_highest_accuracy(store):
    id = store.create(plan())
    for i, (loss, accuracy) in enumerate([(2.0, 0.3), (1.0, 0.7), (math.nan, math.nan), (1.5, 0.6)]):
        store.write_points(id, [Measured("base", 0, i, {"val_loss": loss, "val_accuracy": accuracy})])
    run = next(run for run in store.get(id).runs if (run.arm, run.seed) == ("base", 0))
    assert run.best == {"val_loss": 1.0, "val_accuracy": 0.7} and run.final == {"val_loss": 1.5, "val_accuracy": 0.6}


def test_a_version_changes_with_the_points_only(store):
    id = store.create(plan())
    before = store.curves_version(id)
    store.heartbeat(id, phase="arms", done=1, total=2)
    assert store.curves_version(id) == before
    store.write_points(id, [Measured("base", 0, 0, {"val_loss": 1.0})])
    assert store.curves_version(id) != before


def test_no_points_is_an_empty_table(store):
    curves = store.curves(store.create(plan()))
    assert list(curves.columns) == ["arm", "seed", "metric", "samples", "value"] and curves.empty


@pytest.mark.parametrize("final", FINAL_STATES)
def test_a_final_state_never_changes_and_runs_follow(store, final):
    id = store.create(plan())
    store.end_run(id, "base", 0, "DONE")
    store.end_run(id, "scaled", 0, "DIVERGED", "training loss is not a number")
    assert store.transition(id, final, among=ACTIVE_STATES, reason="because")
    for state in (*FINAL_STATES, "RUNNING"):
        assert not store.transition(id, state, among=(*ACTIVE_STATES, *FINAL_STATES))
    record = store.get(id)
    states = {(run.arm, run.seed): (run.state, run.reason) for run in record.runs}
    assert record.state == final and record.reason == "because" and record.final and record.ended_at
    assert states["base", 0] == ("DONE", "") and states["scaled", 0] == ("DIVERGED", "training loss is not a number")
    assert states["unscaled", 1] == (final, "because")


def test_of_many_at_once_one_wins(store):
    id = store.create(plan())
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: store.transition(id, "STARTING", among=["QUEUED"]), range(16)))
    assert sum(won) == 1


def test_cancel_of_queued_and_of_running(store):
    waiting, running = store.create(plan()), store.create(plan())
    assert store.request_cancel(waiting) == "CANCELLED"
    store.transition(running, "STARTING", among=["QUEUED"])
    store.transition(running, "RUNNING", among=["STARTING"])
    assert not store.cancel_requested(running)
    assert store.request_cancel(running) == "CANCELLING" and store.cancel_requested(running)
    store.transition(running, "DONE", among=ACTIVE_STATES)
    assert store.request_cancel(running) == "DONE"


def test_the_queue_is_in_order_of_submission(store):
    first, second, third = (store.create(plan()) for _ in range(3))
    store.transition(second, "FAILED", among=ACTIVE_STATES)
    assert [record.id for record in store.queue()] == [first, third]
    assert [len(record.runs) for record in store.queue()] == [len(plan().runs)] * 2


def test_deleted_is_put_away_restored_and_purged(store):
    keep, gone = store.create(plan()), store.create(plan())
    store.write_points(gone, [Measured("base", 0, 0, {"val_loss": 1.0})])
    store.transition(gone, "DONE", among=ACTIVE_STATES)
    store.delete(gone)
    assert [one.id for one in store.summaries()] == [keep] and [one.id for one in store.summaries(Filter(deleted=True))] == [gone]
    assert len(store.curves(gone)) == 1
    store.restore(gone)
    assert {one.id for one in store.summaries()} == {keep, gone} and store.purge() == []
    store.delete(gone)
    store.delete(keep)  # still queued: purging must wait for its end
    assert store.purge() == [gone]
    with pytest.raises(NotFound):
        store.get(gone)
    assert store.get(keep).deleted_at


def test_two_editors_of_a_note_do_not_overwrite_each_other(store):
    id = store.create(plan())
    assert store.set_note(id, "mine", 0)
    assert not store.set_note(id, "theirs", 0)
    record = store.get(id)
    assert (record.note, record.note_version) == ("mine", 1)
    store.rename(id, " better name ")
    assert store.get(id).name == "better name"


def test_list_filters_and_summarises_without_curves(store):
    first = store.create(plan(), "attention run 100%")
    second = store.create(make_plan("pydoc", TrainingConfig("rmsprop", 8), 64, seeds=1))
    for seed, loss in ((0, 1.0), (1, 3.0)):
        store.write_points(first, [Measured("base", seed, 0, {"val_loss": loss})])
    store.write_points(first, [Measured("scaled", 0, 0, {"val_loss": math.nan})])
    store.transition(second, "FAILED", among=ACTIVE_STATES)
    store.set_verdict(first, Result("cannot tell", "Not decided yet."))
    assert [one.id for one in store.summaries()] == [second, first]
    assert [(one.outcome, one.answer) for one in store.summaries()] == [("", ""), ("cannot tell", "Not decided yet.")]
    assert [one.id for one in store.summaries(Filter(outcomes=("differs", "cannot tell")))] == [first]
    assert [one.id for one in store.summaries(Filter(text="TELL"))] == [first]
    assert [one.id for one in store.summaries(Filter(text="ATTENTION"))] == [first]
    assert [one.id for one in store.summaries(Filter(text="0%"))] == [first]
    assert store.summaries(Filter(text="_")) == []
    assert [one.id for one in store.summaries(Filter(text="rmsprop"))] == [second]
    assert [one.id for one in store.summaries(Filter(states=("FAILED",)))] == [second]
    assert [one.id for one in store.summaries(Filter(limit=1))] == [second]
    found = store.summaries(Filter(text=first))[0]
    assert found.final["base"]["val_loss"] == (2.0, pytest.approx(math.sqrt(2)), 2)
    mean, _, count = found.final["scaled"]["val_loss"]
    assert math.isnan(mean) and count == 0
    for seed, loss in ((0, -1.7e308), (1, 1.7e308)):  # still numbers
        store.write_points(first, [Measured("unscaled", seed, 0, {"val_loss": loss})])
    assert store.summaries(Filter(text=first))[0].final["unscaled"]["val_loss"] == (0.0, math.inf, 2)
    assert (found.task, found.base_batch, found.target_batch, found.seeds, found.start) == ("digits", 8, 64, 2, "warm")


def test_progress_and_identity_are_kept(store):
    id = store.create(plan())
    store.set_process(id, host="h", boot_id="b", pid=7, pid_started="99")
    store.heartbeat(id, phase=WARM_START, done=25, total=100, samples_per_second=12.5, device="cpu")
    store.add_event(id, "something", {"a": 1})
    record = store.get(id)
    assert (record.host, record.boot_id, record.pid, record.pid_started) == ("h", "b", 7, "99")
    assert (record.progress, record.phase, record.samples_per_second) == (0.25, WARM_START, 12.5)
    assert abs(store.now() - record.heartbeat_at) < timedelta(minutes=1)
    assert [(kind, data) for _, kind, data in store.events(id)] == [("something", {"a": 1})]


def _hammer(url, id, seed, batches):
    store = Store.open(url)
    for i in range(batches):
        store.write_points(id, [Measured("base", seed, i, {"val_loss": float(i)})])
        store.heartbeat(id, done=i)
        store.summaries()
    store.close()


@pytest.mark.process
def test_processes_write_and_read_side_by_side(store, database_url):
    id = store.create(plan(seeds=4))
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_hammer, args=(database_url, id, seed, 40)) for seed in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    curves = store.curves(id)
    assert curves.groupby("seed").size().to_dict() == dict.fromkeys(range(4), 40)
