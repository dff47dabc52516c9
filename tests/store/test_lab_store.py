"""Experiments of the lab in a store of either kind: an end stays an end, and no list of calibrations knows them."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from sqrtscale.rules import FieldError
from sqrtscale.store import Filter
from sqrtscale.store.lab import LabRuns, NoLabRun
from sqrtscale.store.models import LabRun

SETTINGS = {"algorithm": "adam", "betas": [0.9, 0.999], "chains": 512}


@pytest.fixture
def runs(store):
    return LabRuns(store)


def test_it_is_queued_runs_and_is_done_with_its_result(store, runs):
    id = runs.create(SETTINGS)
    assert runs.get(id).state == "QUEUED" and runs.get(id).given == SETTINGS and runs.result(id) == ""
    assert runs.begin(id) and not runs.begin(id)
    assert runs.beat(id, 128, 512) and runs.get(id).progress == 0.25
    assert runs.end(id, "DONE", answer="E x: slope 1.", result="{}")
    record = runs.get(id)
    assert (record.state, record.answer, runs.result(id)) == ("DONE", "E x: slope 1.", "{}")
    assert record.created_at <= record.started_at <= record.ended_at
    assert not runs.end(id, "INTERRUPTED", "too late") and runs.get(id).state == "DONE"
    assert store.count() == store.count(Filter(deleted=True)) == 0 and store.active() == [] and store.unjudged() == []
    with pytest.raises(LookupError):
        store.record(id)


def test_what_waits_is_cancelled_at_once_and_what_runs_is_asked_to_end(runs):
    waiting, running = runs.create(SETTINGS), runs.create(SETTINGS)
    runs.begin(running)
    runs.request_cancel(waiting)
    runs.request_cancel(running)
    assert runs.get(waiting).state == "CANCELLED" and not runs.begin(waiting) and not runs.beat(waiting)
    assert runs.get(running).state == "RUNNING" and not runs.beat(running, 1, 2)
    assert [record.id for record in runs.active()] == [running]


def test_lists_are_in_order_and_only_what_has_ended_can_be_deleted(runs):
    ids = [runs.create(SETTINGS) for _ in range(3)]
    assert [record.id for record in runs.newest(2)] == ids[:0:-1] and runs.count() == 3
    assert [record.id for record in runs.active()] == ids
    with pytest.raises(FieldError, match="has not ended: cancel it first"):
        runs.delete(ids[0])
    runs.end(ids[0], "FAILED", "reason")
    for gone in ("nothing", "?", ""):
        for ask in (runs.get, runs.delete, runs.restore, runs.result):
            with pytest.raises(NoLabRun):
                ask(gone)


def test_what_is_deleted_comes_back_until_it_is_purged(store, runs):
    kept, early, late = (runs.create(SETTINGS) for _ in range(3))
    runs.end(early, "DONE", answer="E x: slope 1.", result="{}")
    runs.end(late, "CANCELLED")
    runs.delete(early)
    between = store.now()
    runs.delete(late)
    assert [record.id for record in runs.newest()] == [kept] and runs.count() == 1
    assert [record.id for record in runs.newest(deleted=True)] == [late, early] and runs.count(deleted=True) == 2
    assert runs.get(early).deleted_at < between <= runs.get(late).deleted_at
    runs.restore(late)
    assert [record.id for record in runs.newest()] == [late, kept] and runs.get(late).deleted_at is None
    runs.delete(late)
    assert runs.purge(between) == [early] and runs.purge(between) == [] and runs.purge() == [late]
    assert [record.id for record in runs.newest()] == [kept] and not runs.newest(deleted=True)


def test_damaged_settings_are_named(store, runs):
    id = runs.create({})
    with store._engine.begin() as connection:
        connection.execute(update(LabRun).values(settings="{"))
    record = runs.get(id)
    with pytest.raises(FieldError, match="has settings that cannot be read"):
        _ = record.given
