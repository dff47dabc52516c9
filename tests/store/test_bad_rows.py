"""A row that cannot be read is one line about that calibration, everywhere; the others work."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
import stored

from sqrtscale.cli import main
from sqrtscale.report import catch_up
from sqrtscale.rules import FieldError
from sqrtscale.runner import reconcile
from sqrtscale.store import CalibrationRecord, Store, Unreadable

DAMAGE = {
    "plan": "UPDATE calibration SET plan = '{' WHERE id = :id",
    "plan of another kind": "UPDATE calibration SET plan = '5' WHERE id = :id",
    "plan without fields": "UPDATE calibration SET plan = '{}' WHERE id = :id",
    "configuration": "UPDATE run SET config = 'junk' WHERE calibration_id = :id",
    "environment": "UPDATE calibration SET environment = '' WHERE id = :id",
    "ends": "UPDATE calibration SET ends = '{{' WHERE id = :id",
    "course": "UPDATE calibration SET course = '[1' WHERE id = :id",
    "final": "UPDATE run SET final = '[' WHERE calibration_id = :id",
    "chunk": "UPDATE chunk SET data = x'0102' WHERE run_id IN (SELECT id FROM run WHERE calibration_id = :id)",
}
UNREADABLE = ("plan", "plan of another kind", "plan without fields", "configuration")


@pytest.fixture
def store():
    opened = Store.open()
    yield opened
    opened.close()


@pytest.fixture(params=DAMAGE)
def damage(request, home, store):
    """What is damaged, and the ids of a good calibration, the bad one and another good one."""
    before, bad, after = (stored.calibration(store, name=name) for name in ("before", "bad", "after"))
    with closing(sqlite3.connect(home / "sqrtscale.db")) as database:
        database.execute(DAMAGE[request.param], {"id": bad})
        database.commit()
    return request.param, before, bad, after


@pytest.fixture
def run(capsys):
    """``run("list")`` -> exit code, output and errors of ``sqrtscale runs list``."""
    def go(*arguments):
        code = main(["runs", *arguments])
        return code, *capsys.readouterr()

    return go


@pytest.mark.fault(
    "a plan or a configuration is no JSON, a piece of a curve is damaged",
    "one line about that calibration in `runs show`, `export`, `compare`; lists and the others work, and it can be deleted")
def test_lists_show_all(damage, store, run):
    _, before, bad, after = damage
    assert {summary.id for summary in store.summaries()} == {before, bad, after}
    code, out, said = run("list")
    assert (code, said) == (0, "") and all(id in out for id in (before, bad, after))
    catch_up(store, 60)
    assert {summary.id for summary in store.summaries() if summary.outcome == "matches"} >= {before, after}


def test_one_line_says_what_is_wrong_with_the_bad_one(damage, run):
    kind, before, bad, _ = damage
    exports = [["export", bad, "--format", form] for form in ("csv", "json", "md")]
    for action in (["show", bad], ["show", bad, "--json"], *exports):
        code, out, said = run(*action)
        assert "Traceback" not in said and said.count("\n") == (code != 0), action
        if kind in UNREADABLE:
            assert (code, out) == (2, "") and ("damaged" in said or "is not a plan" in said)
        elif kind == "chunk" and action[0] == "export":
            assert (code, out) == (1, "") and f"in calibration {bad} cannot be read" in said
        else:
            assert (code == 0 and bad in out) or action[0] == "export"
    assert run("show", before)[0] == 0


def test_a_comparison_leaves_it_out_in_one_line(damage, run):
    kind, before, bad, after = damage
    code, out, said = run("compare", before, bad, after)
    assert code == 0 and before in out and after in out
    assert said.count("\n") == (kind in (*UNREADABLE, "chunk")) and (bad in said or not said)


def test_it_can_be_deleted_tagged_and_purged(damage, run, store):
    _, before, bad, after = damage
    assert run("tag", bad, "broken")[0] == 0 and run("delete", bad)[0] == 0
    assert main(["store", "purge", "--yes"]) == 0
    assert {summary.id for summary in store.summaries()} == {before, after}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_one_that_has_not_ended_stops_no_other(home, store, kind):
    bad, good = (stored.calibration(store, "RUNNING") for _ in range(2))
    with closing(sqlite3.connect(home / "sqrtscale.db")) as database:
        database.execute(DAMAGE[kind], {"id": bad})
        database.commit()
    records = {record.id: record for record in store.active()}
    assert isinstance(records[bad], Unreadable) and isinstance(records[good], CalibrationRecord)
    assert reconcile(store) == [] and [record.id for record in store.queue()] == [good]
    with pytest.raises(FieldError):
        store.get(bad)
