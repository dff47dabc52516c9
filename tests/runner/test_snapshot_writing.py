"""A disk that is full costs a snapshot, never the training."""

import pytest
import stored
import torch
from disks import small_disk

from runner.test_bad_tasks import GOOD
from runner.test_warm_starts import plan
from sqrtscale.plan import WARM_START, make_plan
from sqrtscale.runner import disk_reserve, warm_starts
from sqrtscale.runner.keeper import Keeper
from sqrtscale.runner.patience import Patience, patient
from sqrtscale.runner.supervisor import Supervisor
from sqrtscale.store.connect import database_url
from sqrtscale.tasks import OwnFile, remember
from sqrtscale.tasks.own import Facts
from sqrtscale.training import Measured, Resumable


@pytest.mark.fault("no space left for a snapshot", "training goes on without it; the log says so")
@pytest.mark.parametrize("floats", [24_700, 30_000, 300_000])  # refused as the file is flushed, and as a tensor is written
def test_what_does_not_fit_is_said_and_training_goes_on(home, capsys, floats):
    keeper = Keeper("abc", plan(), {})
    tensors = {"done": 160, "parts": [], "warm": {"weights": torch.zeros(floats)}}
    event = Resumable(lambda: tensors, measured=True, branches=True)
    for samples in keeper.plan.warm_points:
        keeper.note(Measured(WARM_START, 0, samples, {"val_loss": 1.0}))
    with small_disk():
        keeper.keep(event, database_url())
        keeper.keep_warm_start(event)
    said = capsys.readouterr().out
    assert "a snapshot could not be written: [Errno 27]" in said and "the warm start could not be kept: [Errno 27]" in said
    assert not [*keeper.snapshots.folder.iterdir(), *warm_starts.folder().iterdir()]
    keeper.keep(event, database_url())
    assert keeper.snapshots.last()[0]["reached"] == [[WARM_START, 0, 160]]


def test_a_reserve_that_does_not_fit_takes_nothing_and_who_cancels_is_heard(store):
    id = stored.calibration(store, "QUEUED", chosen=plan())
    disk_reserve.path(id).parent.mkdir(parents=True)
    with small_disk(1_000_000):
        with pytest.raises(OSError, match="too large"):
            disk_reserve.keep(id)
        assert not disk_reserve.path(id).exists()
        store.request_cancel(id)
        assert Supervisor(patient(store, Patience()), id)._run(0) == 0
    assert store.get(id).state == "CANCELLED" and not disk_reserve.path(id).exists()


def test_no_warm_start_is_kept_of_a_task_whose_data_nobody_knows(home):
    name = remember(OwnFile("mine", "/mine.py", GOOD, Facts(1, 1000, 100))).name
    own = make_plan(name, plan().base, 16, seeds=1, samples=160, warm_samples=160, evaluations=4, device="cpu")
    keeper = Keeper("abc", own, {})
    for samples in own.warm_points:
        keeper.note(Measured(WARM_START, 0, samples, {"val_loss": 1.0}))
    keeper.keep_warm_start(Resumable(dict, measured=True, branches=True))
    assert not warm_starts.folder().exists() and keeper.warm_start() is None
