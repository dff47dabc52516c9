"""What a restart has interrupted goes on by itself, once, where its user chose so. A reboot is another id of the boot."""

import os
import signal
from datetime import timedelta
from threading import Barrier, Thread

import pandas as pd
import pytest
import stored
from sqlalchemy import update
from waiting import until

from runner.conftest import plan, processes_of
from sqrtscale import runner
from sqrtscale.cli import main
from sqrtscale.home import calibration_folder, private_folder
from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.runner import election, locks, process, reconciliation, restarts, snapshots
from sqrtscale.runner.ending import end
from sqrtscale.runner.leftovers import interrupt_restored
from sqrtscale.runner.scheduler import Scheduler
from sqrtscale.store import FINAL_STATES, MOST_BY_ITSELF, RESUMED, Store
from sqrtscale.store.models import Calibration


@pytest.fixture
def nothing_starts(home):
    """No scheduler: what is queued stays so."""
    lock = locks.take(election.scheduler_lock())
    yield
    os.close(lock)


def pretend(store, id, **columns):
    with store._engine.begin() as connection:
        connection.execute(update(Calibration).where(Calibration.id == id).values(**columns))


def interrupted(store, state="INTERRUPTED", chosen=True, reason="the machine was restarted; end of its log: ..."):
    """One that was trained half, in this home."""
    id = stored.calibration(store, state, measured=[], reason=reason)
    private_folder(calibration_folder(id))
    store.set_resume_after_restart(id, chosen)
    return id


def returns(store, id):
    """How often it has gone on by itself."""
    return sum(kind == RESUMED and "by_itself" in data for _, kind, data in store.events(id))


def reused(store, first):
    """What a calibration that shares base with it would not train."""
    other = store.create(short_base(arms=["base", "unscaled"]))
    store.set_environment(other, store.get(first).environment)
    taken = store.reuse(other)
    base = [store.curves(id).query("arm == 'base'").reset_index(drop=True) for id in (first, other)]
    pd.testing.assert_frame_equal(*base, check_exact=True)
    store.transition(other, "CANCELLED", among=["QUEUED"])
    return taken


def short_base(arms):
    """Base is done after 100 steps, while scaled has to make 64 times as many."""
    return make_plan("digits", TrainingConfig("adam", 512, {"lr": 1e-3}), 8, seeds=1, samples=512 * 100, start="scratch",
                     arms=arms, device="cpu", evaluations=1)


def test_after_a_shutdown_it_goes_on_from_its_snapshot_once(store, home):
    """Its run that is done can be reused all the while."""
    id, other = runner.submit(store, short_base(["base", "scaled"]), "", True), runner.submit(store, plan())
    until(lambda: [run.state for run in store.get(id).runs] == ["DONE", "RUNNING"], 120, "the end of base")
    assert reused(store, id) == {("base", 0): id} and store.get(id).state == "RUNNING"
    for pid in processes_of(home):
        os.kill(pid, signal.SIGTERM)
    until(lambda: store.get(id).final and not processes_of(home), what="the end of all")
    assert (store.get(id).state, store.get(id).reason) == ("INTERRUPTED", "the supervisor was stopped by SIGTERM")
    assert snapshots.there(id) and reused(store, id) == {("base", 0): id}
    assert store.get(other).state == "QUEUED" and store.transition(other, "CANCELLED", among=["QUEUED"])
    assert runner.reconcile(store) == [] and runner.resume_interrupted(store) == [id]
    until(lambda: store.get(id).final, 120, "its end")
    log = runner.read_log(id)
    assert store.get(id).state == "DONE" and store.get(other).state == "CANCELLED"
    assert returns(store, id) == log.count("it goes on by itself, as its user chose: the supervisor was stopped by SIGTERM") == 1
    assert log.count("going on from a snapshot") == log.count("base, seed 0: DONE") == 1
    assert not restarts.go_on(store, again=True)


def test_of_two_that_look_at_once_each_takes_others(home, database_url, monkeypatch):
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", database_url)
    lock = locks.take(election.scheduler_lock())  # of this database
    stores = [Store.open(), Store.open()]
    ids = [interrupted(stores[0]) for _ in range(6)]
    start, resumed = Barrier(2), []

    def look(store):
        start.wait(60)
        resumed.extend(restarts.go_on(store, again=True))

    lookers = [Thread(target=look, args=(store,)) for store in stores]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join(60)
    assert sorted(resumed) == sorted(ids) and [returns(stores[0], id) for id in ids] == [1] * 6
    assert {row.state for row in stores[0].underway()} == {"QUEUED"}
    for store in stores:
        store.close()
    os.close(lock)


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.fault(
    "the machine was restarted *",
    "what trained is INTERRUPTED, and goes on where its user chose so; that and the queue begin when somebody opens the app or "
    "runs a command that looks at it (`runs list`)")
def test_after_a_reboot_the_first_look_of_a_process_has_it_go_on_and_no_later_one(store):
    id = interrupted(store, "RUNNING")
    pretend(store, id, boot_id="another")
    (resumed,) = {*runner.reconcile(store)}
    record = store.get(id)
    assert (resumed, record.state, record.boot_id, returns(store, id)) == (id, "QUEUED", process.boot_id(), 1)
    assert runner.read_log(id) == "it goes on by itself, as its user chose: the machine was restarted\n"
    pretend(store, id, state="INTERRUPTED")
    assert runner.reconcile(store) == [] and store.get(id).state == "INTERRUPTED"  # as during a shutdown
    assert runner.resume_interrupted(store) == [id]


@pytest.mark.usefixtures("nothing_starts")
def test_after_a_reboot_the_machine_may_have_another_name(store):
    id, lives_on = interrupted(store, "RUNNING"), interrupted(store, "RUNNING")
    pretend(store, id, host="its-name-before", boot_id="another")
    pretend(store, lives_on, host="its-name-before")
    assert {*runner.reconcile(store)} == {id} and (store.get(id).state, store.get(id).host) == ("QUEUED", process.host())
    assert store.get(lives_on).state == "RUNNING"


@pytest.mark.usefixtures("nothing_starts")
def test_a_restart_that_another_machine_has_noticed_first(store, monkeypatch):
    id, cancelled = interrupted(store, "RUNNING"), interrupted(store, "CANCELLING")
    for each in (id, cancelled):
        pretend(store, each, host="its-machine", pid=1, pid_started="1")
    with monkeypatch.context() as there:
        there.setattr(reconciliation, "STALE", -1.0)  # it has been silent for long
        assert reconciliation.correct(store, store.underway()) == [id, cancelled]
    assert (store.get(id).state, store.get(cancelled).state) == ("INTERRUPTED", "CANCELLED")
    assert store.get(id).reason.startswith("no word from its host its-machine since")
    monkeypatch.setattr(process, "host", lambda: "its-machine")
    monkeypatch.setattr(process, "boot_id", lambda: "its next boot")
    assert restarts.go_on(store) == [id] and store.get(id).boot_id == "its next boot"


@pytest.mark.usefixtures("nothing_starts")
def test_what_nobody_chose_or_somebody_has_cancelled_or_put_away_stays_as_it_is(store):
    ids = [interrupted(store, chosen=False), interrupted(store, "CANCELLED"), interrupted(store, "FAILED"),
           interrupted(store), interrupted(store), interrupted(store), interrupted(store)]
    store.delete(ids[3])
    pretend(store, ids[4], cancel_requested_at=store.now())  # a shutdown came between
    (calibration_folder(ids[5]) / "rescue.db").touch()
    calibration_folder(ids[6]).rmdir()  # another home's
    assert restarts.go_on(store, again=True) == [] and not store.underway()
    store.restore(ids[3])
    assert restarts.go_on(store, again=True) == []  # who brings it back only looks at it
    pretend(store, ids[4], cancel_requested_at=None)
    assert interrupt_restored(store) == []  # a backup, put back since
    assert restarts.go_on(store, again=True) == [] and runner.resume(store, ids[4]) is False  # by hand it goes on


@pytest.mark.usefixtures("nothing_starts")
def test_one_that_gets_no_further_is_left_after_some_times(store):
    id = interrupted(store)

    def again(done):
        pretend(store, id, state="INTERRUPTED", done=done)
        return restarts.go_on(store, again=True) == [id]

    assert [again(done) for done in (10, 20, 30, 30, 30, 30)] == [True] * 5 + [False]
    assert not store.get(id).resume_after_restart
    assert runner.read_log(id).endswith(f"goes on by itself no more: sqrtscale runs resume {id}\n")
    runner.resume(store, id)
    store.set_resume_after_restart(id, True)
    assert [again(30) for _ in range(4)] == [True] * 3 + [False]  # a person's word counts anew


@pytest.mark.usefixtures("nothing_starts")
def test_who_comes_late_takes_nothing_back(store, monkeypatch):
    """Between its look and its turn another one has had it go on for the last time, or has removed it."""
    id, removed = interrupted(store), interrupted(store)
    seen = store.interrupted()
    store.delete(removed)
    assert store.purge() == [removed]
    for _ in range(MOST_BY_ITSELF):
        pretend(store, id, state="INTERRUPTED")
        assert restarts.go_on(store, again=True) == [id]
    monkeypatch.setattr(store, "interrupted", lambda: seen)
    assert restarts.go_on(store, again=True) == [] and store.get(id).resume_after_restart
    assert (store.get(id).state, returns(store, id)) == ("QUEUED", MOST_BY_ITSELF)
    assert store.resume_by_itself(id) == store.resume_by_itself(removed) == "left"


@pytest.mark.usefixtures("nothing_starts")
def test_what_a_shutdown_has_just_ended_waits_for_a_minute_or_a_person(store):
    ids = [interrupted(store), interrupted(store), interrupted(store)]
    assert runner.reconcile(store) == runner.reconcile(store) == []
    pretend(store, ids[0], ended_at=store.now() - restarts.SHUTDOWN)
    pretend(store, ids[1], ended_at=store.now() + timedelta(days=1))  # the clock was a day ahead
    assert runner.reconcile(store) == ids[:2] and runner.resume_interrupted(store) == [ids[2]]


@pytest.mark.usefixtures("nothing_starts")
def test_a_supervisor_alone_told_to_stop_is_not_resumed_by_the_scheduler_that_lives(store):
    scheduler = Scheduler(store, [])
    id = interrupted(store, "RUNNING")
    assert scheduler.look() and restarts.go_on(store) == []  # as it begins
    end(store, id, "INTERRUPTED", "the supervisor was stopped by SIGTERM")
    pretend(store, id, ended_at=store.now() - 2 * restarts.SHUTDOWN)
    assert not scheduler.look() and restarts.go_on(store) == [] and store.get(id).state == "INTERRUPTED"


@pytest.mark.usefixtures("nothing_starts")
def test_one_whose_files_cannot_be_written_holds_up_no_other_and_is_told_to_who_asks(store):
    broken, id = interrupted(store), interrupted(store)
    for each in (broken, id):
        pretend(store, each, boot_id="another")
    (calibration_folder(broken) / "supervisor.pulse").mkdir()
    assert restarts.go_on(store) == [id]
    pretend(store, id, state="INTERRUPTED")
    with pytest.raises(IsADirectoryError):
        restarts.go_on(store, again=True)
    assert store.get(id).state == "QUEUED"
    assert main(["runs", "resume", "--interrupted"]) == 1
    (calibration_folder(broken) / "supervisor.pulse").rmdir()
    assert restarts.go_on(store) == [] and restarts.go_on(store, again=True) == [broken]  # a page does not ask for ever


@pytest.mark.usefixtures("nothing_starts")
def test_the_choice_is_made_changed_and_shown_on_the_command_line(store, capsys):
    assert main(["calibrate", "--task", "digits", "--resume-after-restart"]) == 0
    id = capsys.readouterr().out.split()[0]
    assert store.get(id).resume_after_restart
    pretend(store, id, state="INTERRUPTED")
    assert main(["runs", "resume-after-restart", id[:6], "--off"]) == 0 and "stays as it is" in capsys.readouterr().out
    assert main(["runs", "resume", "--interrupted"]) == 0 and "nothing was interrupted" in capsys.readouterr().out
    assert main(["runs", "resume-after-restart", id[:6]]) == 0
    assert main(["runs", "resume", "--interrupted"]) == 0 and f"{id} is queued again" in capsys.readouterr().out
    assert main(["runs", "show", id]) == 0 and "it goes on by itself after a restart" in capsys.readouterr().out
    assert main(["runs", "resume"]) == main(["runs", "resume", id, "--interrupted"]) == 2
    pretend(store, id, state="INTERRUPTED")
    assert main(["runs", "show", id]) == 0 and "it goes on by itself after a restart" in capsys.readouterr().out
    assert main(["runs", "cancel", id]) == 2 and f"resume-after-restart {id} --off" in capsys.readouterr().err
    for state in set(FINAL_STATES) - {"INTERRUPTED"}:
        pretend(store, id, state=state)
        assert main(["runs", "show", id]) == 0 and "goes on by itself" not in capsys.readouterr().out
        assert main(["runs", "resume-after-restart", id]) == 2 and f"is {state}" in capsys.readouterr().err
    pretend(store, id, state="INTERRUPTED", cancel_requested_at=store.now())
    assert main(["runs", "show", id]) == 0 and "goes on by itself" not in capsys.readouterr().out
    assert main(["runs", "resume-after-restart", id]) == 2 and "was cancelled" in capsys.readouterr().err


def test_restoring_and_importing_a_database_start_nothing_first(store, tmp_path):
    """What a restart has interrupted goes on by itself: it must not stand in the way of its own replacement."""
    assert main(["store", "backup", str(tmp_path / "empty.db")]) == 0
    ids = [interrupted(store), interrupted(store, "RUNNING")]
    pretend(store, ids[1], boot_id="another")
    assert main(["store", "import", str(tmp_path / "empty.db")]) == 0
    assert {store.get(id).state for id in ids} == {"INTERRUPTED"}
    pretend(store, ids[1], state="RUNNING")
    assert main(["store", "restore", str(tmp_path / "empty.db")]) == 0
    assert not store.summaries() and not locks.held(election.scheduler_lock())
