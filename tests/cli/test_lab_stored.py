"""``sqrtscale lab list``, ``show``, ``cancel``, ``delete``, ``restore``; ``store check`` and ``store purge`` of lab runs."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from sqlalchemy import update

from sqrtscale.cli import main
from sqrtscale.lab import experiment, measure
from sqrtscale.lab.stored import Stored, as_text
from sqrtscale.store import Store
from sqrtscale.store.lab import LabRuns
from sqrtscale.store.models import LabRun

DAMAGE = {
    "settings": ({"settings": "{"}, "has settings that cannot be read"),
    "settings of another kind": ({"settings": "[1]"}, "has settings that cannot be read"),
    "settings that nobody takes": ({"settings": '{"algorithm": "lion"}'}, "algorithm = 'lion' is not known"),
    "a rule that is a list": ({"settings": '{"rule": [1]}'}, "rule = [1] is not known"),
    "a problem that is a list": ({"settings": '{"problem": {}}'}, "problem = {} is not known"),
    "result": ({"result": "{"}, "is no result of the lab"),
    "result cut off": ({"result": ""}, "is no result of the lab"),
    "state": ({"state": "WELL"}, "is none of QUEUED, RUNNING"),
}


@pytest.fixture(scope="module")
def outcome():
    return measure(experiment(algorithm="rmsprop", betas=(0.9,), chains=512))


@pytest.fixture
def store(database_url, monkeypatch):
    """A store of either kind, which the command line opens too."""
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", database_url)
    opened = Store.open()
    yield opened
    opened.close()


@pytest.fixture
def done(store, outcome):
    """The ids of three runs that are done."""
    runs, text = LabRuns(store), as_text(Stored(outcome, "1.0", "2026-11-28"), pictures=True)
    ids = [runs.create(asdict(outcome.experiment)) for _ in range(3)]
    for id in ids:
        runs.end(id, "DONE", answer="E x: slope 1.", result=text)
    return ids


@pytest.fixture
def run(capsys):
    """``run("lab", "list")`` -> exit code, standard output, standard error."""
    def go(*arguments):
        return main(list(arguments)), *capsys.readouterr()

    return go


def test_runs_are_listed_shown_deleted_and_brought_back(done, outcome, run):
    first, *_ = done
    code, out, _ = run("lab", "list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["id", *done[::-1]]
    assert "DONE   rmsprop, quadratic, gauss" in out and out.count("E x: slope 1.") == 3
    listed = json.loads(run("lab", "list", "--json")[1])
    assert json.loads(run("lab", "--json", "list")[1]) == listed
    assert [each["id"] for each in listed] == done[::-1] and listed[0]["settings"]["betas"] == [0.9]
    assert listed[0]["progress"] == 1 and listed[0]["deleted_at"] is None
    shown = json.loads(run("lab", "show", first, "--json")[1])
    assert json.loads(run("lab", "--json", "show", first)[1]) == shown
    assert shown["slopes"].keys() == outcome.slopes.keys() and "courses" not in shown
    assert shown["levels"][0]["error"] == pytest.approx(outcome.levels[0].error, rel=1e-5)
    assert "error against the SDE" in run("lab", "show", first)[1]
    assert run("lab", "delete", first) == (0, f"{first} is deleted; sqrtscale lab restore {first} brings it back\n", "")
    assert first not in run("lab", "list")[1] and first in run("lab", "list", "--deleted")[1]
    code, out, said = run("lab", "delete", first)
    assert (code, out) == (2, "") and said == f"{first} is deleted already: sqrtscale lab restore {first} brings it back\n"
    assert run("lab", "restore", first)[0] == 0 and first in run("lab", "list")[1]
    assert run("lab", "restore", first) == (2, "", f"{first} is not deleted: sqrtscale lab list shows it\n")


def test_what_has_not_ended_is_cancelled_before_it_is_deleted(store, run):
    assert run("lab", "list")[1] == "nothing stored yet: sqrtscale lab --store\n"
    id = LabRuns(store).create(asdict(experiment()))
    code, out, said = run("lab", "delete", id)
    assert (code, out) == (2, "") and f"is QUEUED: cancel it first, with sqrtscale lab cancel {id}" in said
    assert run("lab", "show", id)[1].startswith(f"{id} is QUEUED") and run("lab", "show", id, "--json")[0] == 2
    assert run("lab", "cancel", id) == (0, f"{id} is CANCELLED\n", "")
    assert run("lab", "cancel", id)[0] == 2 and run("lab", "delete", id)[0] == 0
    code, _, said = run("lab", "show", "none")
    assert code == 2 and said == "ID = 'none' is not a stored lab run: sqrtscale lab list shows them\n"
    code, _, said = run("store", "purge")
    assert code == 2 and "would remove 0 deleted calibrations and 1 lab run for good" in said
    assert run("store", "purge", "--yes", "--older-than", "1")[1] == "nothing is deleted for 1 days\n"
    assert run("store", "purge", "--yes") == (0, f"{id} is removed for good\n", "")


def test_a_run_that_ends_while_it_is_cancelled_is_what_it_became(store, run, monkeypatch):
    id, asked = LabRuns(store).create(asdict(experiment())), LabRuns.request_cancel

    def late(runs, id):
        runs.end(id, "DONE", answer="x", result="{}")
        asked(runs, id)

    monkeypatch.setattr(LabRuns, "request_cancel", late)
    assert run("lab", "cancel", id) == (0, f"{id} is DONE\n", "")


def test_a_run_that_is_removed_during_a_check_is_passed_over(store, done, run, monkeypatch):
    kept = LabRuns.result

    def removed(runs, id):
        if id == done[1]:
            runs.delete(id)
            runs.purge()
        return kept(runs, id)

    monkeypatch.setattr(LabRuns, "result", removed)
    assert run("store", "check")[0] == 0
    assert len(LabRuns(store).newest()) == 2


def test_a_damaged_row_is_one_line_and_the_others_work(store, outcome, run):
    runs, text = LabRuns(store), as_text(Stored(outcome), pictures=True)
    bad = {kind: runs.create(asdict(outcome.experiment)) for kind in DAMAGE}
    good = runs.create(asdict(outcome.experiment))
    for id in (*bad.values(), good):
        runs.end(id, "DONE", answer="E x: slope 1.", result=text)
    assert run("store", "check")[0] == 0
    with store._write.begin() as session:
        for kind, (values, _) in DAMAGE.items():
            session.execute(update(LabRun).where(LabRun.id == bad[kind]).values(**values))
        session.execute(update(LabRun).where(LabRun.id == bad["result cut off"]).values(result=text[: len(text) // 2]))
    code, out, said = run("store", "check")
    lines = dict(zip(bad.values(), reversed(out.splitlines()), strict=True))
    assert (code, said) == (1, "")
    for kind, (_, words) in DAMAGE.items():
        assert lines[bad[kind]].startswith(f"lab run {bad[kind]}: ") and words in lines[bad[kind]]
    code, out, said = run("lab", "list")
    assert (code, said) == (0, "") and len(out.splitlines()) == 1 + len(bad) + 1 and "settings that cannot be read" in out
    assert {each["id"] for each in json.loads(run("lab", "list", "--json")[1])} == {*bad.values(), good}
    for kind in ("result", "result cut off"):
        code, out, said = run("lab", "show", bad[kind])
        assert (code, out, said.count("\n")) == (2, "", 1) and DAMAGE[kind][1] in said
    assert run("lab", "show", bad["state"])[:2] == (0, f"{bad['state']} is WELL: E x: slope 1.\n")
    assert run("lab", "show", good)[0] == 0
    for id in bad.values():
        assert run("lab", "delete", id)[0] == 0
    assert run("store", "purge", "--yes")[1].count("is removed for good\n") == len(bad)
    assert run("store", "check")[0] == 0 and good in run("lab", "list")[1]
