"""Nothing measured is lost in silence, and a failure is called by its name."""

import math

import pytest
import torch
from sqlalchemy.exc import OperationalError

from runner.conftest import plan
from sqrtscale.rules import FieldError
from sqrtscale.runner import child, disk_reserve, exit_codes
from sqrtscale.training import Measured, Progress, RunEnded


class Refusing:
    """A store that refuses some writes, as a locked database or a restarted server does."""

    def __init__(self, store, *refusals):
        self.store = store
        self.refusals = list(refusals)

    def __getattr__(self, name):
        def write(*arguments, **named):
            if self.refusals:
                raise OperationalError("INSERT", {}, Exception(self.refusals.pop()))
            return getattr(self.store, name)(*arguments, **named)

        return write


def measured(samples):
    return Measured("base", 0, samples, {"val_loss": math.inf if samples == 2 else float(samples)})


def test_a_verdict_that_cannot_be_made_is_told_in_the_log_and_ends_nothing(store, capsys):
    child.judge(store, "nowhere")
    assert "there is no calibration nowhere" in capsys.readouterr().out


def test_what_the_database_refuses_is_written_later_and_in_order(store, monkeypatch):
    monkeypatch.setattr(child, "FLUSH_EVERY", 0.0)
    id = store.create(plan())
    sink = child.Sink(Refusing(store, *["database is locked"] * 4), id)
    for samples in range(1, 5):
        sink.take(measured(samples))
    sink.take(Progress("arms", 10, 10, 2.0))
    sink.take(RunEnded("base", 0, "DIVERGED", "training loss is not a number"))
    sink.close()
    assert list(store.curves(id).value) == [1, math.inf, 3, 4]
    run = store.get(id).runs[0]
    assert (run.state, run.reason, run.best) == ("DIVERGED", "training loss is not a number", {"val_loss": 1.0})


def test_on_a_full_disk_it_waits_for_room_until_it_is_told_to_end_and_the_reserve_takes_what_waits(store):
    id = store.create(plan())
    disk_reserve.path(id).parent.mkdir(parents=True)
    disk_reserve.keep(id)
    looks = iter([False, False, True])
    sink = child.Sink(Refusing(store, *["database or disk is full"] * 2), id, lambda: next(looks, True))
    sink.take(measured(1))
    sink.flush()
    assert sink.waiting and sink.patience.waiting.startswith("waiting for room on the full disk") and next(looks, "") == ""
    sink.close()
    assert not disk_reserve.path(id).exists() and len(store.curves(id)) == 1 and not sink.waiting


def test_a_full_disk_is_known_by_each_of_its_names(home, monkeypatch):
    home.mkdir()
    assert disk_reserve.is_full(OSError(28, "No space left on device"))
    assert not disk_reserve.is_full(PermissionError(13, "denied"))
    vague = OperationalError("INSERT", {}, Exception("disk I/O error"))
    assert not disk_reserve.is_full(vague)
    monkeypatch.setattr(disk_reserve.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 0}))
    assert disk_reserve.is_full(vague)


def test_what_a_failure_is_called():
    with pytest.raises(RuntimeError) as too_large:
        torch.empty(10**15)
    for error in (too_large.value, MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")):
        assert child.explained(error)[0] == exit_codes.OUT_OF_MEMORY
    assert child.explained(OSError(28, "No space left on device"))[0] == exit_codes.DISK_FULL
    for error, text in (
        (FieldError("device", "cuda", "is not here"), "device = 'cuda' is not here"),
        (KeyError("lr"), "KeyError: 'lr'"),
        (OperationalError("INSERT", {}, Exception("database is locked")), "OperationalError: database is locked"),
    ):
        assert child.explained(error) == (exit_codes.FAILED, text)
