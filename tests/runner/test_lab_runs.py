"""Experiments of the lab in real processes: done, killed, cancelled, refused."""

from __future__ import annotations

import itertools
import json
import os
import signal

import pytest
import waiting
from sqlalchemy.exc import OperationalError

from sqrtscale.cli import main
from sqrtscale.lab import weak_error
from sqrtscale.lab.stored import read
from sqrtscale.runner import lab, lab_child
from sqrtscale.store.lab import LabRuns

from .conftest import processes_of

SHORT = {"algorithm": "rmsprop", "betas": (0.9,), "chains": 512, "seed": 3}
LONG = SHORT | {"chains": 50_000_000}  # longer than any test waits


@pytest.fixture
def runs(store):
    return LabRuns(store)


def state(runs, id):
    return runs.get(id).state


def until_it_runs(runs, id):
    waiting.until(lambda: state(runs, id) == "RUNNING", 120, f"{id} to run, which is {runs.get(id)}")


def test_a_killed_one_is_interrupted_and_the_next_in_the_queue_is_done(store, runs):
    long = lab.submit(store, LONG)
    until_it_runs(runs, long)
    short = lab.submit(store, SHORT)
    waiting.until(lambda: runs.get(short).heartbeat_at, 120, "the second to wait for its turn")
    assert state(runs, short) == "QUEUED"  # one after another
    os.kill(runs.get(long).pid, signal.SIGKILL)
    assert lab.wait(store, short, lambda record: None).state == "DONE"
    assert runs.get(long).state == "INTERRUPTED" and runs.get(long).reason.startswith("its process ended before it was done")
    stored, expected = read(runs.result(short)), weak_error(**SHORT)
    assert stored.outcome.experiment == expected.experiment and stored.version and stored.date
    for level, same in zip(stored.outcome.levels, expected.levels, strict=True):
        assert level.error == pytest.approx(same.error, rel=1e-5)
    assert runs.get(short).answer.startswith("E x: ")


def test_a_cancelled_one_ends_within_seconds_with_its_process(store, runs, home):
    id = lab.submit(store, LONG)
    until_it_runs(runs, id)
    runs.request_cancel(id)
    record = lab.wait(store, id, lambda record: None)
    assert (record.state, record.reason) == ("CANCELLED", "cancelled by the user")
    waiting.until(lambda: not processes_of(home), 60, "its process to be gone")
    runs.delete(id)
    assert lab.purge(store) == [id] and not lab.log_file(id).exists()


REFUSED = OperationalError("UPDATE", {}, Exception("database is locked"))


class Unreliable:
    """A store that refuses every second statement, and where it writes only when that is done: its answer is lost."""

    def __init__(self, store):
        self.store = store
        self.refuses = itertools.cycle([True, False])

    def __getattr__(self, name):
        return getattr(self.store, name)

    def _written(self, work):
        done = self.store._written(work)
        if next(self.refuses):
            raise REFUSED
        return done

    @property
    def _read(self):
        if next(self.refuses):
            raise REFUSED
        return self.store._read


def test_what_the_database_refuses_once_is_asked_again_and_what_it_did_is_not_done_twice(store, runs):
    id = runs.create(SHORT)
    assert lab_child.compute(Unreliable(store), id) == 0
    record = runs.get(id)
    assert (record.state, record.reason, record.pid) == ("DONE", "", os.getpid()) and record.answer
    assert lab.wait(Unreliable(store), id, lambda record: None) == record


def test_settings_that_are_refused_fail_with_the_sentence(store, runs, monkeypatch):
    def refused(self, id, **identity):
        raise REFUSED

    monkeypatch.setattr(LabRuns, "set_process", refused)  # in this process: the other one says itself who it is
    record = lab.wait(store, lab.submit(store, SHORT | {"algorithm": "sgd"}), lambda record: None)
    assert record.pid
    assert record.state == "FAILED" and record.reason.startswith("algorithm = 'sgd' is not known: give one of adam")


def test_one_that_was_never_started_is_interrupted_after_a_while(store, runs, monkeypatch):
    id = runs.create(SHORT)
    lab.reconcile(store)
    assert state(runs, id) == "QUEUED"
    monkeypatch.setattr(lab, "START_GRACE", lab.START_GRACE * 0)
    lab.reconcile(store)
    assert (state(runs, id), runs.get(id).reason) == ("INTERRUPTED", "its process was never started")


def test_the_command_line_keeps_what_it_measures(store, runs, capsys):
    assert main(["lab", "--algorithm", "rmsprop", "--chains", "512", "--store", "--json"]) == 0
    said = capsys.readouterr()
    (record,) = runs.newest(9)
    assert record.state == "DONE" and f"/lab?id={record.id}" in said.err
    assert json.loads(said.out)["levels"] == list(read(runs.result(record.id)).outcome.as_dict()["levels"])
