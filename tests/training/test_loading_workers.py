"""Samples that are loaded by workers, a batch ahead: the same ones in the same steps, and what goes wrong there is told."""

from __future__ import annotations

import copy
import os
import threading

import pytest
import torch
from test_resumed import told

from sqrtscale.plan import make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.tasks import TASKS, OwnFile, OwnTask, OwnTaskError
from sqrtscale.tasks.own import Facts, loading
from sqrtscale.training import Resumable, calibrate, engine
from sqrtscale.training.executors import _executor
from sqrtscale.training.streams import Stream

CPU = torch.device("cpu")
TEXT = '''"""Rows that are made when they are asked for."""
import os
import random

import numpy as np
import torch
from torch import nn

WORKERS = {workers}


class Rows:
    def __len__(self):
        return 40

    def __getitem__(self, place):
        {does}
        drawn = torch.randn(2) + np.random.rand() + random.random()
        return {{"x": drawn + place, "y": torch.tensor(float(place)), "process": os.getpid()}}


def model():
    return nn.Linear(2, 1)


def data(split):
    return Rows()


def loss(model, batch):
    return ((model(batch["x"]).squeeze(1) - batch["y"]) ** 2).mean()
'''


def own(workers, does="pass"):
    text = TEXT.format(workers=workers, does=does)
    return OwnTask(OwnFile(f"rows{workers}", "/nowhere/rows.py", text, Facts(3, 40, 40)))


def running(workers, does="pass"):
    return own(workers, does).running


def batch(workers, count=7, does="pass"):
    places = torch.arange(count) * 3
    return running(workers, does).batch(places, places + 100, CPU)


def test_every_sample_is_the_one_that_the_process_itself_would_load():
    torch.manual_seed(0)
    here, there = batch(0), batch(2)
    torch.testing.assert_close([there["x"], there["y"]], [here["x"], here["y"]], rtol=0, atol=0)
    assert set(here["process"].tolist()) == {os.getpid()}
    assert os.getpid() not in there["process"] and len(set(there["process"].tolist())) == 2
    assert float(torch.rand(())) == float(torch.rand((), generator=torch.Generator().manual_seed(0)))  # nothing was drawn here


def test_workers_stay_and_a_batch_may_be_smaller_than_they_are():
    rows = running(2)
    batches = [rows.batch(torch.tensor(places), torch.tensor(places), CPU) for places in ([1, 2, 3, 4], [5], [6, 7])]
    assert len({pid for seen in batches for pid in seen["process"].tolist()}) == 2


@pytest.mark.parametrize(("does", "error", "sentence"), [
    ("if place == 9: raise KeyError('row 9')", OwnTaskError, r"KeyError: 'row 9' \(rows.py, line 17\)"),
    ("return lambda: place", OwnTaskError, "a sample cannot be sent from a worker"),
    ("if place == 9: os.kill(os.getpid(), 9)", FieldError, "WORKERS = 2 do not work: DataLoader worker .* Give fewer"),
])
def test_what_goes_wrong_in_a_worker_is_a_sentence(does, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        batch(2, does=does)
    if "KeyError" in does:
        assert "rows.py" in caught.value.log and "self.dataset" not in caught.value.log
    del caught  # its traceback holds the workers, which end at once where no circle of references has to be searched for


def begun_is_read(ahead):
    """Wait for what the workers have begun with."""
    ahead._begun.join()


def test_the_next_batch_is_read_before_it_is_asked_for_and_its_error_waits_for_its_step(tmp_path):
    does = f"open({str(tmp_path)!r} + f'/{{place}}', 'x').close()\n        if place == 4: raise KeyError('row 4')"
    ahead = running(1, does).ahead()
    batches = [[(2 * i, 0), (2 * i + 1, 0)] for i in range(6)]
    ahead.expect(batches[1:])
    first = ahead.read(batches[0])  # one that nobody expected
    begun_is_read(ahead)
    assert [sample["y"].item() for sample in first] == [0, 1]
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "2", "3"}
    assert [sample["y"].item() for sample in ahead.read(batches[1])] == [2, 3]
    begun_is_read(ahead)
    assert (tmp_path / "4").exists()
    with pytest.raises(OwnTaskError, match="KeyError: 'row 4'") as caught:
        ahead.read(batches[2])
    assert "rows.py" in caught.value.log and "loading.py" not in caught.value.log
    del caught
    assert [sample["y"].item() for sample in ahead.read(batches[4])] == [8, 9]  # one is left out: what was begun is let go
    begun_is_read(ahead)
    assert [sample["y"].item() for sample in ahead.read(batches[5])] == [10, 11]
    assert {path.name for path in tmp_path.iterdir()} == {*"012346789", "10", "11"}  # each once: mode x
    assert ahead._begun is None  # nothing holds the last samples
    assert not [thread for thread in threading.enumerate() if thread.name == "batch of samples"]


def test_what_a_stream_shows_ahead_is_still_to_be_taken():
    stream, twin = (Stream(own(0).data(CPU), 3, "branch") for _ in range(2))
    for count in (5, 1019, 1024, 700):  # also at the end of a block, and over two of them
        position = stream.position()
        seen = stream.ahead(1500)
        assert stream.position()["taken"] == position["taken"]
        assert torch.equal(stream.position()["generator"], position["generator"])
        for here, there in zip(seen.tensors(), Stream.take(stream, count).tensors(), strict=True):
            assert torch.equal(here[:count], there)
        assert torch.equal(next(twin.take(count).tensors()), next(seen.tensors())[:count])


def test_a_calibration_with_workers_and_its_continuation_are_those_without(monkeypatch):
    """Two seeds and batch sizes, several draws between two evaluations, a snapshot in the middle of one."""
    def events(workers, snapshot=None):
        about = own(workers)
        monkeypatch.setitem(TASKS, about.name, about)
        return calibrate(make_plan(about.name, TrainingConfig("adam", 8, {"lr": 1e-2}), 32, seeds=2, samples=384, evaluations=2,
                                   arms=["base", "scaled"], start="scratch", device="cpu"), snapshot=snapshot)

    def of(stream):
        return [said for event in stream if (said := told(event)) is not None]

    monkeypatch.setattr(engine, "DRAW_AT_ONCE", 64)
    monkeypatch.setitem(_executor.WORK, "cpu", 1)
    expected, seen, kept, ahead = of(events(0)), [], [], []

    def read(source, tickets, ordinary=loading.Ahead.read):
        ahead.append(source._begun is not None and source._begun.tickets == tickets)
        return ordinary(source, tickets)

    monkeypatch.setattr(loading.Ahead, "read", read)
    for event in events(2):
        seen.append(event)
        if isinstance(event, Resumable) and not kept and len(seen) > 20:
            kept = [len(of(seen)), copy.deepcopy(event.snapshot())]
            (middle,) = {group["made"] - group["drawn_at"] for group in kept[1]["groups"]} - {0}
            assert 0 < middle < 8  # of the steps of a draw
    assert of(seen) == expected
    assert sum(ahead) == 2 * (384 // 8 - 1) + 2 * (384 // 32 - 1) + 2  # but for the first pass of each batch size
    assert of(events(2, kept[1])) == expected[kept[0]:]
    assert not [thread for thread in threading.enumerate() if thread.name == "batch of samples"]
