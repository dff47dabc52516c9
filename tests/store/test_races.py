"""Several threads and processes at the same row: one wins, and an end stays an end. On both databases."""

import multiprocessing
import threading

import pytest

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import ACTIVE_STATES, FINAL_STATES, Store, points
from sqrtscale.training.events import Measured


def plan():
    return make_plan("digits", TrainingConfig("adam", 8), 64, seeds=2, samples=640)


def _contend(url, ids, start, won):
    store = Store.open(url)
    start.wait(120)
    for id in ids:
        if store.transition(id, "STARTING", among=["QUEUED"]):
            won.put(id)
    store.close()


@pytest.mark.process
def test_of_many_processes_one_starts_each_calibration(store, database_url):
    ids = [store.create(plan()) for _ in range(10)]
    context = multiprocessing.get_context("spawn")
    start, won = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_contend, args=(database_url, ids, start, won)) for _ in range(4)]
    for process in processes:
        process.start()
    found = [won.get(timeout=120) for _ in ids]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert sorted(found) == sorted(ids) and won.empty()


def test_points_written_while_a_calibration_ends_do_not_revive_its_runs(store, monkeypatch):
    id = store.create(plan())
    ending = threading.Thread(target=store.transition, args=(id, "FAILED"), kwargs={"among": ACTIVE_STATES, "reason": "killed"})
    append = points._append

    def append_while_it_ends(*arguments):
        if not ending.ident:
            ending.start()
            ending.join(0.5)  # it either waits for this transaction, or gets between its reading and its writing
        append(*arguments)

    monkeypatch.setattr(points, "_append", append_while_it_ends)
    store.write_points(id, [Measured("base", 0, 0, {"val_loss": 1.0})])
    ending.join(60)
    record = store.get(id)
    assert record.state == "FAILED" and {(run.state, run.reason) for run in record.runs} == {("FAILED", "killed")}
    assert len(store.curves(id)) == 1


def test_late_points_are_kept_and_change_no_state(store):
    id = store.create(plan())
    store.transition(id, "CANCELLED", among=ACTIVE_STATES, reason="enough")
    store.write_points(id, [Measured("base", 0, 0, {"val_loss": 1.0})])
    store.end_run(id, "base", 0, "DONE")
    assert {run.state for run in store.get(id).runs} == {"CANCELLED"} and len(store.curves(id)) == 1


def test_cancel_against_the_end_leaves_one_final_state(store):
    for _ in range(10):
        id = store.create(plan())
        store.transition(id, "STARTING", among=["QUEUED"])
        together = threading.Barrier(2)
        said = []

        def ends(id=id, together=together, said=said):
            together.wait(60)
            said.append(store.transition(id, "DONE", among=["STARTING", "RUNNING", "CANCELLING"]))

        ending = threading.Thread(target=ends)
        ending.start()
        together.wait(60)
        assert store.request_cancel(id) in ("CANCELLING", "DONE")
        ending.join(60)
        assert said == [True] and store.get(id).state == "DONE"


def test_an_ended_calibration_is_not_marked_as_cancelled(store):
    id = store.create(plan())
    store.transition(id, "DONE", among=ACTIVE_STATES)
    assert store.request_cancel(id) == "DONE" and not store.cancel_requested(id)


def test_a_state_that_does_not_exist_is_named(store):
    id = store.create(plan())
    with pytest.raises(ValueError, match="state DONNE is not known: give one of QUEUED"):
        store.transition(id, "DONNE", among=ACTIVE_STATES)
    with pytest.raises(ValueError, match="state STARTING is not known"):
        store.end_run(id, "base", 0, "STARTING")
    assert store.get(id).state not in FINAL_STATES
