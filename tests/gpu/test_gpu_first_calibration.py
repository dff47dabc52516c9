"""A calibration's own supervisor and child, on a machine whose GPU a trial has an opinion of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from runner.conftest import plan, store  # noqa: F401
from stub_driver import Driver, card, driver, row  # noqa: F401

from sqrtscale.runner import supervisor
from sqrtscale.store import CalibrationRecord, Store

BROKEN = row("digits, adam", agrees=False, error="CUDA error: an illegal instruction was encountered")


@pytest.fixture
def broken(driver) -> Driver:  # noqa: F811
    """A card that torch can add two numbers on, and that does not survive a trial."""
    driver.smi("NVIDIA H100")
    driver.torch(card(0, "NVIDIA H100"))
    driver.trial("cuda:0", [BROKEN])
    return driver


@pytest.fixture
def telling(broken) -> Driver:
    """The training process is a program of the test's that says what it was told, and fails."""
    usual = (broken.folder / "python").read_text()
    (broken.folder / "python").write_text(usual.replace("*) exec", "*.child) echo $6 $SQRTSCALE_CUDA_GRAPHS; exit 1;; *) exec"))
    return broken


def supervised(store: Store, device: str) -> CalibrationRecord:  # noqa: F811
    id = store.create(replace(plan(samples=64), device=device))
    assert supervisor.Supervisor(store, id).run() == 0
    return store.get(id)


def test_auto_trains_on_the_cpu(store, telling):  # noqa: F811
    assert supervised(store, "auto").reason == "cpu"
    assert sum("trial cuda:0" in question for question in telling.questions()) == 1


def test_a_named_gpu_fails_with_the_doctors_sentence(store, broken):  # noqa: F811
    for _ in range(2):
        record = supervised(store, "cuda:0")
        assert record.state == "FAILED"
        assert record.reason.startswith("device = 'cuda:0' cannot be used here: NVIDIA H100 fails in the trial at digits, adam ")
    assert sum("trial cuda:0" in question for question in broken.questions()) == 1


def test_a_named_gpu_that_is_not_there(store, driver):  # noqa: F811
    reason = supervised(store, "cuda:1").reason
    assert reason == "device = 'cuda:1' cannot be used here: No GPU is here; calibrations run on the CPU"
    assert not any("trial" in question for question in driver.questions())


def test_where_graphs_fail_the_child_makes_none(store, telling):  # noqa: F811
    telling.trial("cuda:0", [row("digits, adam"), row("digits, adam, as a CUDA graph", executor="captured", agrees=False)])
    record = supervised(store, "auto")
    assert record.state == "FAILED" and "cuda:0 off" in record.reason
