"""Which snapshot a calibration goes on from, where the store has less than the newest one counts on."""

import pytest
import stored

from sqrtscale.plan import WARM_START
from sqrtscale.runner.keeper import Keeper
from sqrtscale.training import Measured, Resumable, RunEnded

PLAN = stored.plan(arms=["base", "scaled"])
RUN = ("base", 0)


def warm(samples):
    return Measured(WARM_START, 0, samples, {"val_loss": 1.0})


def with_two_snapshots(store, id):
    """After 400 samples, and after 800 with the end."""
    keeper = Keeper(id, PLAN, {})
    for events in ((warm(400),), (warm(800), RunEnded(WARM_START, 0, "DONE"))):
        for event in events:
            keeper.note(event)
        keeper.keep(Resumable(lambda: {"done": keeper.reached[WARM_START, 0]}, measured=True), store.url)
    return keeper.snapshots.paths


@pytest.mark.fault(
    "the newest snapshot is damaged or cut, or counts on points that the database does not have (an older backup was restored)",
    "the one before it is taken; where both are, training begins anew under the same id; the log says so")
def test_it_is_the_newest_of_which_the_store_has_all(store, capsys):
    """The database is that of a backup: of 800 samples with the end, of 800 without, of 700, and of 300."""
    ended = {(WARM_START, 0): ("DONE", "")}
    for samples, ends, done, left in ((800, ended, 800, 2), (800, {}, 400, 1), (700, {}, 400, 1), (300, {}, None, 0)):
        measured = [warm(at) for at in range(0, samples + 1, 100)]
        id = stored.calibration(store, "INTERRUPTED", chosen=PLAN, measured=measured, ended=ends)
        paths = with_two_snapshots(store, id)
        store.resume(id)
        keeper = Keeper(id, PLAN, {})
        training = keeper.go_on(store)
        assert training == (done and {"done": done}) and keeper.snapshots.paths == paths[:left]
        assert capsys.readouterr().out.count("the database has less than it") == 2 - left
        assert list(store.curves(id)["samples"]) == [at for at in range(0, samples + 1, 100) if done and at <= done]
        assert keeper.reached == ({(WARM_START, 0): done} if done else {}) and keeper.ended == (set(ends) if left == 2 else set())
        assert store.get(id).runs[0].state == ("DONE" if left == 2 else "RUNNING" if left else "QUEUED")


def test_what_was_taken_over_is_still_there_or_it_begins_anew(store):
    """An import that lost the word of it: nobody would train those runs."""
    id = stored.calibration(store, "INTERRUPTED", chosen=PLAN, measured=[warm(0), warm(400), warm(800)])
    keeper = Keeper(id, PLAN, {})
    keeper.taken = {RUN}
    keeper.note(warm(400))
    keeper.keep(Resumable(lambda: {"done": 400}, measured=True), store.url)
    store.resume(id)
    assert Keeper(id, PLAN, {}).go_on(store) is None and store.curves(id).empty
