"""The database goes away under processes that need it, for real: it is waited for, and nothing is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError
from waiting import until

from runner.conftest import long_plan, pid_of, plan
from sqrtscale import runner
from sqrtscale.runner.patience import GivenUp, Patience, impatient, patient
from sqrtscale.store import Store, StoreError

CHILD, SUPERVISOR = "sqrtscale.runner.child", "sqrtscale.runner"
LOCKED = OperationalError("UPDATE", {}, Exception("database is locked"))


class Refusals:
    """Fails as often as there are errors, then gives 7."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def __call__(self):
        if self.errors:
            raise self.errors.pop(0)
        return 7


def test_every_success_begins_the_patience_anew():
    """Two faults that are far apart are no long one: the limit counts from the first refusal since the last success."""
    said = []
    patience = Patience(said.append, limit=-1.0)  # so that the first refusal is one too many
    with pytest.raises(OperationalError):
        patience.insist(Refusals(LOCKED))
    patience = Patience(said.append)
    for _ in range(2):
        assert patience.insist(Refusals(LOCKED, LOCKED)) == 7 and patience.waiting == ""
    assert [line.partition(" since")[0].partition(", after")[0] for line in said] == [
        "waiting for the database", "the database answers again"] * 2


def test_between_two_tries_it_is_not_asked_and_what_waits_is_said():
    patience, work = Patience(lambda text: None), Refusals(LOCKED)
    assert patience.attempt(work, "not yet") == "not yet"
    assert patience.attempt(work, "not yet") == "not yet" and work.errors == []  # it would have answered
    assert patience.waiting.endswith("UTC: database is locked")
    assert patience.insist(work) == 7


def test_what_is_no_fault_of_the_database_is_not_tried_again():
    for error in (ProgrammingError("SELECT", {}, Exception("no such column")), StoreError("written by a newer sqrtscale"),
                  PermissionError(13, "denied"), ValueError()):
        with pytest.raises(type(error)):
            Patience().insist(Refusals(error, error))


def test_who_is_told_to_end_gives_up():
    with pytest.raises(GivenUp, match="waiting for the database since"):
        Patience(lambda text: None).insist(Refusals(*[LOCKED] * 99), lambda: True)


def test_a_store_that_is_patient_tries_every_statement_again(store):
    refusals = Refusals(LOCKED)

    class Refusing:
        def queue(self):
            refusals()
            return store.queue()

    waiting = patient(Refusing(), Patience(lambda text: None))
    assert waiting.queue() == [] and refusals.errors == [] and isinstance(impatient(waiting), Refusing)


@pytest.mark.fault(
    "the database is locked, stopped, restarted or not to be reached, at the start, in the middle or at the end",
    "every process that needs it tries again, with pauses of at most 10 s, for up to a week; the training goes on meanwhile and"
    " stores its points later, each once; `runs show` says *waiting for the database since ...*, and so does the log; nothing "
    "ends by it")
def test_a_lock_from_the_start_and_one_in_the_middle_end_nothing(store, home):
    """Longer than a statement waits by itself: each of its processes is refused."""
    with sqlite3.connect(home / "sqrtscale.db", isolation_level=None) as other:
        id = runner.submit(store, long_plan())
        other.execute("BEGIN IMMEDIATE")
        until(lambda: "waiting for the database since" in runner.waiting(id), what="its supervisor's word")
        other.execute("ROLLBACK")
        until(lambda: store.curves_version(id) != "0", 120, "the first points")
        other.execute("BEGIN IMMEDIATE")
        until(lambda: "database is locked" in runner.waiting(id), what="the word of its processes")
        points = store.curves_version(id)
        other.execute("ROLLBACK")
    until(lambda: store.curves_version(id) != points, what="more points")
    assert store.get(id).state == "RUNNING" and runner.cancel(store, id) == "CANCELLING"
    other.close()


@pytest.fixture
def own_server(tmp_path, monkeypatch):
    from databases import PostgreSQL

    with PostgreSQL(tmp_path / "server") as server:
        monkeypatch.setenv("SQRTSCALE_DATABASE_URL", server.database("own"))
        yield server


def test_postgresql_stops_and_starts_again_under_one_that_trains_and_one_that_waits(own_server, request, home):
    store = request.getfixturevalue("store")
    first, second = runner.submit(store, plan(samples=64_000)), runner.submit(store, plan())
    until(lambda: store.curves_version(first) != "0", 120, "the first points")
    own_server.stop()
    child = pid_of(home, CHILD, first)
    until(lambda: "waiting for the database since" in runner.waiting(first), what="the word of its processes")
    for command in (["runs", "list"], ["runs", "cancel", first]):
        done = subprocess.run([sys.executable, "-m", "sqrtscale", *command], capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "cannot open the database" in done.stderr
    own_server.start()
    for id in (first, second):
        record = runner.wait(store, id)
        assert (record.state, record.reason) == ("DONE", "")
    assert pid_of(home, CHILD, first) in (child, None)
    curves = store.curves(first)
    assert not curves.duplicated(["arm", "seed", "metric", "samples"]).any()
    judged = curves[curves["metric"] == "val_loss"]
    assert set(judged[judged["arm"] == "base"]["samples"]) == set(plan(samples=64_000).evaluation_points)


@pytest.mark.fault(
    "SIGTERM, SIGHUP, SIGINT to everybody, as in a shutdown",
    "what trains is INTERRUPTED, what is queued stays QUEUED; only a person's cancel is CANCELLED")
def test_a_shutdown_leaves_the_queue_queued_and_interrupts_what_trains(store, home):
    first, second = runner.submit(store, long_plan()), runner.submit(store, plan())
    until(lambda: store.curves_version(first) != "0", 120, "the first points")
    scheduler = pid_of(home, SUPERVISOR, "--schedule")
    for pid in (scheduler, pid_of(home, SUPERVISOR, first), pid_of(home, CHILD, first)):
        os.kill(pid, signal.SIGTERM)  # as systemd does, to everybody
    until(lambda: not pid_of(home, SUPERVISOR, first), what="the end of the supervisor")
    record = store.get(first)
    assert record.state == "INTERRUPTED" and {run.state for run in record.runs} == {"INTERRUPTED"}
    # The supervisor may have replaced the scheduler before it heard of the shutdown itself: that one goes on with the queue.
    assert store.get(second).state in ("QUEUED", "STARTING")
    assert runner.wait(store, second).state == "DONE"  # as who looks in after the restart
    assert Store.open().get(first).state == "INTERRUPTED"
