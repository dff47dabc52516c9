"""The file of the database is deleted, replaced or truncated under a calibration, for real."""

from __future__ import annotations

import os

import pytest
import stored
from waiting import until

from runner.conftest import plan
from sqrtscale import runner
from sqrtscale.cli import main
from sqrtscale.plan import WARM_START
from sqrtscale.runner import child
from sqrtscale.runner.patience import Patience
from sqrtscale.runner.rescued import Rescue, rescue_file
from sqrtscale.store import REUSED, Store
from sqrtscale.store.rescue import bring_in
from sqrtscale.training import Measured, RunEnded


def measured(samples):
    return Measured("base", 0, samples, {"val_loss": float(samples)})


def running(store):
    id = store.create(plan(), "precious")
    store.transition(id, "STARTING", among=["QUEUED"])
    store.transition(id, "RUNNING", among=["STARTING"])
    return id


def delete(path, home):
    path.unlink()


def replace(path, home):
    Store.open(f"sqlite:///{home / 'other.db'}").close()
    os.replace(home / "other.db", path)


def truncate(path, home):
    os.truncate(path, 0)


@pytest.mark.fault(
    "the database's file is deleted, replaced or truncated under a calibration",
    "it is seen within seconds, and the calibration goes on into `rescue.db` in its folder, with all its points; log and `runs "
    "list` say how to bring it back: `sqrtscale store import FILE`")
@pytest.mark.parametrize("harm", [delete, replace, truncate])
def test_what_was_measured_goes_on_in_a_rescue_file_and_comes_back_by_import(store, home, harm, capsys):
    id = running(store)
    store.write_points(id, [measured(0)])  # by a part that was trained before
    sink = child.Sink(store, id, rescue=Rescue(store, id, {"executor": "compiled"}))
    sink.take(measured(8))
    sink.flush()
    harm(home / "sqrtscale.db", home)
    sink.take(measured(16))
    sink.take(RunEnded("base", 0, "DONE"))
    sink.close()
    said = f"sqrtscale store import {rescue_file(id)}"
    assert sink.rescue is None and said in capsys.readouterr().out
    assert sink.store.transition(id, "FAILED", among=["RUNNING"], reason="the rest is of no interest")
    store.close()
    if harm is truncate:
        for path in home.glob("sqrtscale.db*"):
            path.unlink()
    assert main(["runs", "list"]) == 0 and said in capsys.readouterr().err
    assert main(["store", "import", str(rescue_file(id))]) == 0 and f"{id} is taken over" in capsys.readouterr().out
    assert main(["runs", "list"]) == 0 and said not in capsys.readouterr().err
    back = Store.open()
    record = back.get(id)
    assert (record.name, record.state, record.plan) == ("precious", "FAILED", plan())
    assert list(back.curves(id)["samples"]) == [0, 8, 16] and record.runs[0].state == "DONE"
    back.close()


def test_a_task_that_goes_to_another_folder_loses_no_database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store.open("sqlite:///relative.db")
    rescue = Rescue(store, running(store), {})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.close()  # the next statement opens it anew
    assert rescue.problem(None) == "" and len(store.queue()) == 1
    assert not list((tmp_path / "elsewhere").iterdir())
    store.close()


def test_a_database_without_a_file_is_never_lost(postgresql):
    url = postgresql.database("not_a_file")
    store = Store.open(url)
    assert not Rescue(store, running(store), {}).problem(None)
    assert Patience().error is None
    store.close()


def test_a_calibration_whose_database_is_deleted_is_trained_to_its_end(store, home):
    id = runner.submit(store, plan(samples=64_000))
    until(lambda: store.curves_version(id) != "0", 120, "the first points")
    (home / "sqrtscale.db").unlink()
    until(rescue_file(id).exists, what="the rescue file")
    rescued = Store.open(f"sqlite:///{rescue_file(id)}")
    until(lambda: rescued.get(id).final, 120, "its end")
    record = rescued.get(id)
    assert (record.state, record.reason) == ("DONE", "") and record.outcome
    curves = rescued.curves(id).query("metric == 'val_loss' and arm == 'scaled'")
    assert list(curves["samples"]) == list(plan(samples=64_000).evaluation_points)
    rescued.close()


def rescued(store, id, measured, state):
    """A rescue file that was begun now and has those points and that end, closed."""
    file = Rescue(store, id, stored.ENVIRONMENT).begin("was deleted")
    file.write_points(id, measured)
    file.transition(id, state, among=["RUNNING"], reason="in the file")
    file.close()
    return rescue_file(id)


@pytest.mark.parametrize(("share", "state", "comes"), [
    (0.75, "FAILED", True), (0.5, "FAILED", False), (0.25, "FAILED", False), (0.25, "DONE", True)])
def test_the_file_comes_in_where_it_has_more_points_or_is_done(store, share, state, comes):
    """However many were written, and forgotten again, before: the database has half of them."""
    chosen = stored.plan(arms=["base", "scaled"])
    id = stored.calibration(store, "FAILED", chosen=chosen, reason="in the database")
    half = {run: (3200 if run[0] != WARM_START else 1600) for run in chosen.runs}
    assert store.rewind(id, half)
    file = rescued(store, id, stored.points(chosen, share), state)
    assert bring_in(file) == (([id], []) if comes else ([], [id]))
    assert (store.get(id).reason == "in the file") is comes


@pytest.mark.fault(
    "a calibration shall go on that has a rescue file",
    "refused, with the command that imports it; what has a name, a note and tags in the database keeps them")
@pytest.mark.parametrize("lost", [True, False])
def test_what_was_noted_comes_with_it_and_words_that_are_there_stay(store, home, lost):
    """Where the database is another one, and where it is an older state of the same one, in which the words are newer."""
    chosen = stored.plan(arms=["base", "scaled"])
    id = stored.calibration(store, "FAILED", chosen=chosen, name="precious", measured=[])
    taken = {"runs": [{"arm": "base", "seed": 0, "from": "abc"}]}
    store.add_event(id, REUSED, taken)
    store.tag([id], "first")
    store.set_note(id, "a note", 0)
    before, events = store.get(id), store.events(id)
    file = rescued(store, id, stored.points(chosen), "FAILED")
    store.rename(id, "very precious")
    store.untag([id], "first")
    store.close()
    if lost:
        for path in home.glob("sqrtscale.db*"):
            path.unlink()
    bring_in(file)
    back = Store.open()
    record = back.get(id)
    assert (record.note, record.note_version, record.created_at) == ("a note", before.note_version, before.created_at)
    assert (record.name, back.tags_of(id)) == (("precious", ("first",)) if lost else ("very precious", ()))
    assert back.events(id) == events and back.reused(id) == {("base", 0): "abc"}
    back.close()
