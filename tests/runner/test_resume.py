"""Calibrations that were killed or cancelled go on, and end with the numbers of one that nobody disturbed."""

import os
import random
import signal
import stat
from dataclasses import replace

import pandas as pd
import pytest
from waiting import until

from runner.conftest import pid_of
from sqrtscale import runner
from sqrtscale.plan import make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.runner import child, snapshots
from sqrtscale.training.snapshots import read, write

CHILD = "sqrtscale.runner.child"
PLAN = make_plan("digits", TrainingConfig("adam", 8, {"lr": 1e-3}), 16, seeds=4, stop_early=True, go_on=True, samples=960,
                 start="warm", warm_samples=640, evaluations=8, arms=["base", "scaled"], device="cpu")


def ended(store, id):
    def look():
        runner.reconcile(store)
        return store.get(id).final

    until(look, 180, f"the end of {id}")
    return store.get(id)


def trained(store, id, more):
    """Wait until it has stored so many points more, or has ended."""
    before = int(store.curves_version(id))
    until(lambda: int(store.curves_version(id)) >= before + more or store.get(id).final, 180, f"points of {id}")


def kept(id):
    return sorted(snapshots.folder(id).glob("*.snapshot"))


def told(store, id):
    """Every number and word that is stored of its runs."""
    record = store.get(id)
    return record.state, [(run.arm, run.seed, run.state, run.reason, run.executor, run.final, run.best) for run in record.runs]


@pytest.mark.fault(
    "the training process is killed, the machine loses power, a calibration is cancelled or runs out of its time",
    "points measured so far stay; `runs resume` goes on from the last snapshot")
@pytest.mark.fault(
    "the newest snapshot is damaged or cut, or counts on points that the database does not have (an older backup was restored)",
    "the one before it is taken; where both are, training begins anew under the same id; the log says so")
@pytest.mark.fault("the training process is killed", "FAILED, with the signal; its points stay")
def test_killed_cancelled_and_damaged_it_ends_with_the_same_numbers(store, home, monkeypatch):
    monkeypatch.setenv("SQRTSCALE_SNAPSHOT_S", "0")
    points = random.Random(5)
    id = runner.submit(store, PLAN)
    trained(store, id, points.randint(1, 4))  # in the warm start
    os.kill(pid_of(home, CHILD, id), signal.SIGKILL)
    assert ended(store, id).state == "FAILED" and "killed by SIGKILL" in store.get(id).reason
    assert 1 <= len(kept(id)) <= 2 and not store.curves(id).empty
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in kept(id))

    assert runner.resume(store, id)
    trained(store, id, points.randint(8, 20))
    runner.cancel(store, id)
    assert ended(store, id).state == "CANCELLED"
    newest = kept(id)[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)

    assert runner.resume(store, id)
    trained(store, id, points.randint(8, 20))
    os.kill(pid_of(home, CHILD, id), signal.SIGKILL)
    assert ended(store, id).state == "FAILED"
    log = runner.read_log(id)
    assert f"a snapshot is passed over: {newest.name} is cut or damaged" in log and log.count("going on from a snapshot") == 2
    whole = runner.submit(store, replace(PLAN, reuse=False))  # its own warm start, too
    assert runner.resume(store, id)
    assert ended(store, id).state == ended(store, whole).state == "DONE"
    assert told(store, id) == told(store, whole)
    pd.testing.assert_frame_equal(store.curves(id), store.curves(whole), check_exact=True)
    assert len({repr(summary.final) for summary in store.summaries()}) == 1
    assert not kept(id) and not snapshots.folder(id).exists()
    with pytest.raises(FieldError, match="is DONE"):
        runner.resume(store, id)


class AfterSome:
    """Tells to end after so many questions."""

    def __init__(self, questions):
        self.left = questions

    def __bool__(self):
        self.left -= 1
        return self.left < 0


def begun(store, chosen, questions):
    """Train a plan by the child's own code, until it is told to end."""
    id = store.create(chosen)
    for state, before in (("STARTING", "QUEUED"), ("RUNNING", "STARTING")):
        store.transition(id, state, among=[before])
    assert not child.train(store, id, chosen, AfterSome(questions))
    store.transition(id, "CANCELLED", among=["RUNNING"], reason="a test")
    return id


def gone_on(store, id):
    """Train it to its end, as the next child would."""
    assert store.resume(id) and not store.resume(id)
    for state, before in (("STARTING", "QUEUED"), ("RUNNING", "STARTING")):
        store.transition(id, state, among=[before])
    assert child.train(store, id, store.get(id).plan, AfterSome(10**9))
    store.transition(id, "DONE", among=["RUNNING"])
    return told(store, id), store.curves(id)


def small(arms):
    return make_plan("digits", TrainingConfig("adam", 8, {"lr": 1e-3}), 16, seeds=1, samples=160, start="scratch", arms=arms,
                     device="cpu", evaluations=4)


def test_without_a_whole_snapshot_it_begins_anew_and_with_one_it_keeps_what_was_taken_over(store, monkeypatch, capsys):
    monkeypatch.setenv("SQRTSCALE_SNAPSHOT_S", "0")
    whole = [store.create(small(["base", "scaled"])), store.create(small(["base", "scaled", "unscaled"]))]
    expected = []
    for id in whole:
        for state, before in (("STARTING", "QUEUED"), ("RUNNING", "STARTING")):
            store.transition(id, state, among=[before])
        assert child.train(store, id, store.get(id).plan, AfterSome(10**9))
        store.transition(id, "DONE", among=["RUNNING"])
        expected.append((told(store, id), store.curves(id)))
    assert set(store.reused(whole[1])) == {("base", 0), ("scaled", 0)}
    store.delete(whole[1])
    second = begun(store, small(["base", "scaled", "unscaled"]), 12)
    taken = store.reused(second)
    store.delete(whole[0])
    assert set(taken) == {("base", 0), ("scaled", 0)} and int(store.curves_version(second)) > 0
    results = [gone_on(store, second)]
    assert "going on from a snapshot" in capsys.readouterr().out and store.reused(second) == taken
    store.delete(second)
    third = begun(store, small(["base", "scaled", "unscaled"]), 12)
    for path in kept(third):
        path.write_bytes(path.read_bytes()[:-1])
    results.append(gone_on(store, third))
    said = capsys.readouterr().out
    assert said.count("a snapshot is passed over") == 2 and "there is no snapshot to go on from: training begins anew" in said
    for found, curves in results:
        assert found == expected[1][0]
        pd.testing.assert_frame_equal(curves, expected[1][1], check_exact=True)


def test_it_does_not_go_on_where_the_numbers_would_be_others(store, monkeypatch):
    monkeypatch.setenv("SQRTSCALE_SNAPSHOT_S", "0")
    id = begun(store, small(["base", "scaled"]), 12)
    content = read(kept(id)[-1])
    write(kept(id)[-1], content | {"conditions": content["conditions"] | {"torch": "1.0"}})
    store.resume(id)
    with pytest.raises(RuntimeError, match=r"because torch was 1\.0 and is .*: go back to that, or try it again"):
        child.train(store, id, store.get(id).plan, AfterSome(10**9))
    assert kept(id)
