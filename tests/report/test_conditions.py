"""What a calibration ran on, as a text."""

from sqrtscale.plan import make_plan
from sqrtscale.report.conditions import ran_on
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Store

ENVIRONMENT = {
    "device": "cuda:0", "device_name": "NVIDIA H100", "threads": 16, "cuda": "13.0", "driver_cuda": "13.1", "tf32": True,
    "executor": "captured", "python": "3.12.1", "packages": {"torch": "2.13.0"},
    "gpus": [{"index": 0, "name": "NVIDIA H100", "capability": "9.0", "memory": 80 << 30, "error": ""}],
    "groups": [
        {"stream": "warm start", "batch_size": 8, "models": 1, "device": "cuda:0", "executor": "captured",
         "how": "as a CUDA graph of 146 operations", "steps": 12_000, "ms": 0.2124},
        {"stream": "branch", "batch_size": 64, "models": 24, "device": "cuda:0", "executor": "captured",
         "how": "operation by operation: its memory would not be there", "steps": 750, "ms": 1.5}]}


def test_every_condition_has_its_line():
    store = Store.open()
    id = store.create(make_plan("digits", TrainingConfig("adam", 8), 64, seeds=1))
    assert ran_on(store.get(id)) == ""
    store.set_environment(id, ENVIRONMENT)
    first, *lines = ran_on(store.get(id)).splitlines()
    assert first.startswith(f"calibration {id} of digits (tiny model), ") and first.endswith(" UTC, QUEUED")
    assert lines == [
        "device: NVIDIA H100 (cuda:0), 16 threads",
        "cuda:0: NVIDIA H100, capability 9.0, 80.0 GiB",
        "driver: up to CUDA 13.1; torch for CUDA 13.0; products of matrices in TF32",
        "executor: captured",
        "warm start, 1 model at batch 8 on cuda:0, as a CUDA graph of 146 operations: 12,000 steps, 0.212 ms each",
        "24 models at batch 64 on cuda:0, operation by operation: its memory would not be there: 750 steps, 1.5 ms each",
        "Python 3.12.1, torch 2.13.0"]


def test_what_older_calibrations_did_not_note_is_left_out():
    store = Store.open()
    id = store.create(make_plan("digits", TrainingConfig("adam", 8), 64, seeds=1))
    store.set_environment(id, {"device": "cpu", "device_name": "A processor", "packages": {}})
    assert ran_on(store.get(id)).splitlines()[1:] == ["device: A processor (cpu), ? threads", "Python ?"]
