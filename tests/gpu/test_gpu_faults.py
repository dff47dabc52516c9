"""A GPU that fails in the middle: a new process goes on from the last snapshot, once there, then on the CPU."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretended_gpu import pretended
from runner.conftest import plan, store  # noqa: F401
from runner.test_resume import AfterSome, begun
from runner.test_runner import stored_as_running
from stub_driver import Driver, card, driver, row  # noqa: F401

from sqrtscale import runner
from sqrtscale.home import calibration_folder, private_folder
from sqrtscale.report.caveats import caveats
from sqrtscale.report.conditions import ran_on
from sqrtscale.rules import TrainingConfig
from sqrtscale.runner import child, exit_codes, faults, locks, process, supervisor
from sqrtscale.runner.faults import Ended
from sqrtscale.runner.scheduler import Scheduler
from sqrtscale.store.reuse import conditions
from sqrtscale.tasks import OwnTaskError
from sqrtscale.tasks.own.errors import beside_users_code, users_code
from sqrtscale.training import Measured, calibrate, device, is_gpu_fault, is_out_of_memory, threads
from sqrtscale.training.executors import eager

FAULT = "CUDA error: an illegal memory access was encountered"
AT = 40  # replayed steps of a process, after which it meets the fault
PLANTED = """
import sys
if "sqrtscale.runner.child" in sys.orig_argv:
    sys.path.append({tests!r})
    from pathlib import Path
    from pretended_gpu import pretended
    context = pretended()
    def fail(gpu):
        done = len(list(Path({folder!r}).glob("fault-*")))
        if gpu.replays == {at} and done < {count}:
            Path({folder!r}, f"fault-{{done}}").touch()
            gpu.broken = {says!r} + "\\nCUDA kernel errors might be asynchronously reported at some other API call."
    context.__enter__().on_replay = fail
"""


@pytest.fixture
def gpu(driver) -> Driver:  # noqa: F811
    """A machine whose GPU passes a trial."""
    driver.smi("NVIDIA H100")
    driver.torch(card(0, "NVIDIA H100"))
    driver.trial("cuda:0", [row("digits, adam"), row("digits, adam, as a CUDA graph", executor="captured")])
    return driver


@pytest.fixture
def one_thread(monkeypatch):
    """As many threads add up to other last digits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for module in (eager, threads, device):
        monkeypatch.setattr(module, "ALL_THREADS", 1)
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.mark.fault(
    "a GPU fails in the middle * (an illegal access, a memory error, a driver that dies or hangs)",
    "a new process goes on from the last snapshot: once on the same GPU, if that passes the doctor's trial again, then on the "
    "CPU ([gpu.md](gpu.md))")
def test_it_goes_on_there_then_on_the_cpu_and_ends_with_the_numbers_of_an_undisturbed_run(
        store, gpu, one_thread, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "sitecustomize.py").write_text(PLANTED.format(
        tests=str(Path(__file__).parents[1]), folder=str(tmp_path), at=AT, count=2, says=FAULT))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "planted"))
    monkeypatch.setenv("SQRTSCALE_SNAPSHOT_S", "0")
    chosen = plan(samples=960, base=TrainingConfig("amsgrad", 8, {"lr": 1e-3}), evaluations=2)  # not compiled on the CPU
    id = store.create(replace(chosen, device="cuda:0"))
    assert supervisor.Supervisor(store, id).run() == 0
    record, log = store.get(id), runner.read_log(id)
    assert record.state == "DONE", (record.reason, log)
    assert [(fault["device"], fault["went_on"], fault["reason"]) for fault in record.environment["faults"]] == [
        ("cuda:0", "cuda:0", FAULT), ("cuda:0", "cpu", FAULT)]
    assert log.count("going on from a snapshot") == 2 and log.count(f"FAILED: {FAULT}") == 2
    assert sum("trial cuda:0" in question for question in gpu.questions()) == 2  # before the start, and after the first fault

    undisturbed = {(event.arm, event.seed, event.samples, name): value for event in calibrate(chosen)
                   if isinstance(event, Measured) for name, value in event.values.items()}
    curves = store.curves(id)
    assert {(row.arm, row.seed, row.samples, row.metric): row.value for row in curves.itertuples()} == undisturbed

    assert record.environment["device"] == "cpu" and record.executors == "captured, then eager"
    assert conditions(record.environment) is None  # nobody takes its runs over
    told = f"Training on cuda:0 failed in the middle ({FAULT}), and went on in a new process on cpu, which rounds otherwise."
    assert told in ran_on(record) and told in caveats(record, curves, {}, {})
    assert faults.place(store, record) == "cpu"


def test_a_gpu_that_fails_its_trial_after_a_fault_is_left_at_once(store, gpu):  # noqa: F811
    id = store.create(replace(plan(samples=64), device="cuda:0"))
    private_folder(calibration_folder(id))
    gpu.trial("cuda:0", [row("digits, adam", agrees=False, error="CUDA error: uncorrectable ECC error encountered")])
    assert faults.go_on(store, id, ("cuda:0",), FAULT, lambda: None) == ("cpu",)
    (fault,) = faults.known(store, id)
    assert "fails in the trial" in fault["refused"]
    (line,) = runner.read_log(id).splitlines()
    assert line == faults.told(fault) and fault["refused"] in line


def test_one_that_was_moved_waits_in_the_queue_for_the_cpu_and_leaves_the_gpu_to_others(store, gpu, monkeypatch):  # noqa: F811
    moved, on_cpu, on_gpu = (store.create(replace(plan(), device=device), host=process.host()) for device in (
        "cuda:0", "cpu", "cuda:0"))
    for id in (moved, on_cpu, on_gpu):
        private_folder(calibration_folder(id))
    looking, started = Scheduler(store, []), []
    monkeypatch.setattr(looking, "_start", lambda row: started.append(row.id))
    looking._start_first(store.underway())
    assert started == [moved, on_cpu]
    started.clear()
    looking._start_first(store.underway()[1:])  # it trains meanwhile, meets a fault, and is queued again
    store.add_event(moved, faults.KIND, {"device": "cuda:0", "reason": FAULT, "went_on": "cpu", "refused": "", "executor": ""})
    started.clear()
    looking._start_first(store.underway())
    assert started == [moved, on_gpu]
    assert [[rival.id for rival in faults.rivals(store, store.get(id))] for id in (on_cpu, on_gpu)] == [[moved, on_cpu], [on_gpu]]
    started.clear()
    cpu = locks.take(locks.device_lock("cpu"))
    looking._start_first(store.underway())
    os.close(cpu)
    assert started == [on_gpu]


@pytest.mark.parametrize("asks, state", [
    (lambda supervising: supervising.store.request_cancel(supervising.id), "CANCELLED"),
    (lambda supervising: supervising._on_signal(signal.SIGTERM, None), "INTERRUPTED"),
    (lambda supervising: setattr(supervising, "taken_away", "it is another's"), "LOST")])
def test_who_asks_it_to_end_during_the_trial_after_a_fault_gets_no_other_process(
        store, gpu, monkeypatch, asks, state):  # noqa: F811
    id = stored_as_running(store, **vars(process.me()))
    private_folder(calibration_folder(id))
    gpu.program("python", 'case "$4" in *.trial) exec sleep 600;; esac', f'cat {gpu.folder}/$4')
    supervising, started = supervisor.Supervisor(store, id), []
    monkeypatch.setattr(supervising, "_watch", lambda child, late_at: Ended("FAILED", FAULT, exit_codes.GPU_FAULT))
    monkeypatch.setattr(supervising, "_start_child", lambda *arguments: started.append(arguments))
    supervising.next_heartbeat = math.inf
    heed = supervising._heed
    looks = iter([lambda: None, lambda: asks(supervising)])  # before the trial, and in the middle of it
    monkeypatch.setattr(supervising, "_heed", lambda late=False: (next(looks)(), heed(late)))
    assert supervising._trained(None, 0, (("cuda:0",), []), math.inf)[0] == state
    assert not started and not faults.known(store, id)


def test_models_on_several_gpus_begin_anew_on_the_cpu(store, one_thread, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setenv("SQRTSCALE_SNAPSHOT_S", "0")
    chosen = plan(samples=64, evaluations=2)
    with pretended(2):
        id = begun(store, replace(chosen, device="all"), 8)
    store.add_event(id, faults.KIND, {"device": "cuda:0,cuda:1", "reason": FAULT, "went_on": "cpu", "refused": "",
                                      "executor": "captured"})
    assert child.train(store, id, chosen, AfterSome(10**9))
    log = capsys.readouterr().out
    assert "the snapshots are of more devices than one" in log and FAULT not in log  # which its supervisor has said
    assert {run.state for run in store.get(id).runs} == {"DONE"}


@pytest.mark.parametrize("ended, devices, expected", [
    (Ended("FAILED", "", exit_codes.GPU_FAULT), ("cuda:0",), True),
    (Ended("FAILED", "", -signal.SIGABRT), ("cuda:0", "cuda:1"), True),  # an error that torch meets while it clears up
    (Ended("FAILED", "", -signal.SIGKILL, hung=True), ("cuda:0",), True),
    (Ended("FAILED", "", -signal.SIGKILL), ("cuda:0",), False),  # by somebody, or for lack of memory
    (Ended("FAILED", "", exit_codes.GPU_FAULT), ("cpu",), False),  # so that it comes to an end
    (Ended("FAILED", "", -signal.SIGSEGV), ("cpu",), False),
    (Ended("CANCELLED", "", -signal.SIGABRT), ("cuda:0",), False),
    (Ended("FAILED", "", exit_codes.FAILED), ("cuda:0",), False),
    (Ended("FAILED", "", exit_codes.OUT_OF_MEMORY), ("cuda:0",), False),
])
def test_what_is_taken_for_a_fault(ended, devices, expected):
    assert faults.is_fault(ended, devices) is expected


@pytest.mark.parametrize("says, code", [
    (FAULT, exit_codes.GPU_FAULT),
    ("CUDA error: unspecified launch failure", exit_codes.GPU_FAULT),
    ("CUDA error: uncorrectable ECC error encountered", exit_codes.GPU_FAULT),
    ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`", exit_codes.GPU_FAULT),
    ("HIP error: unspecified launch failure", exit_codes.GPU_FAULT),
    ("cusolver error: CUSOLVER_STATUS_EXECUTION_FAILED, when calling `cusolverDnSpotrf(...)`", exit_codes.GPU_FAULT),
    ("cuSPARSE error: CUSPARSE_STATUS_EXECUTION_FAILED", exit_codes.GPU_FAULT),
    ("CURAND_STATUS_INTERNAL_ERROR", exit_codes.GPU_FAULT),
    ("Triton Error [CUDA]: an illegal memory access was encountered", exit_codes.GPU_FAULT),
    ("CUDA error: Invalid access of peer GPU memory over nvlink or a hardware error", exit_codes.GPU_FAULT),
    ("CUDA error: operation not supported on global/shared address space", exit_codes.GPU_FAULT),
    ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", exit_codes.OUT_OF_MEMORY),
    ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED", exit_codes.OUT_OF_MEMORY),
    ("CUDA error: out of memory", exit_codes.OUT_OF_MEMORY),
    ("CUDA error: invalid argument", exit_codes.FAILED),
    ("CUDA error: operation not permitted when stream is capturing", exit_codes.FAILED),
    ("an illegal memory access of the user's own", exit_codes.FAILED),
])
def test_what_an_error_says_of_the_device(says, code):
    error = torch.AcceleratorError(says + "\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1")
    assert is_out_of_memory(error) is (code == exit_codes.OUT_OF_MEMORY)
    assert child.explained(error)[0] == code and (code != exit_codes.GPU_FAULT or child.explained(error)[1] == says)
    assert is_gpu_fault(error) is (code == exit_codes.GPU_FAULT)
    own = of_a_users_code(error)
    assert (is_out_of_memory(own), is_gpu_fault(own)) == (is_out_of_memory(error), is_gpu_fault(error))
    told = child.explained(own)
    assert told[0] == code and (code != exit_codes.GPU_FAULT or told[1] == f"torch.AcceleratorError: {says} (task.py)")


def of_a_users_code(error, context=users_code):
    with pytest.raises(OwnTaskError) as raised, context("task.py"):
        raise error
    return raised.value


def test_a_kernels_check_that_failed_is_the_tasks_where_it_is_a_users():
    """Its GPU works; a task of our own goes on on the CPU, which says more. torch tells it anywhere, later."""
    error = torch.AcceleratorError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA`.")
    code, reason = child.explained(error)
    assert code == exit_codes.GPU_FAULT and reason.startswith("CUDA error: device-side assert triggered: a check in a kernel")
    for context in (users_code, beside_users_code):
        code, reason = child.explained(of_a_users_code(error, context))
        assert code == exit_codes.FAILED and "often of an index that is out of range" in reason and "TORCH_USE" not in reason


@pytest.mark.parametrize("free, code", [(2**20, exit_codes.OUT_OF_MEMORY), (2**36, exit_codes.GPU_FAULT),
                                        (None, exit_codes.GPU_FAULT)])
def test_cublas_without_a_handle_is_lack_of_memory_only_where_the_gpu_answers_and_is_full(free, code, monkeypatch):
    def mem_get_info(index):
        if free is None:
            raise torch.AcceleratorError(FAULT)
        return free, 2**37

    for name, answer in (("device_count", lambda: 1), ("memory_reserved", lambda index: 1), ("mem_get_info", mem_get_info)):
        monkeypatch.setattr(torch.cuda, name, answer)
    error = torch.AcceleratorError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`")
    assert child.explained(error)[0] == code


@pytest.mark.parametrize("says, reason", [
    ("a\nb", "ValueError: a"), ("\na", "ValueError: a"), ("Missing keys:\n  w,\n  b", "ValueError: Missing keys: w,"),
    ("", "ValueError"), ("a:", "ValueError: a:")])
def test_the_reason_is_the_first_line_and_what_it_announces(says, reason):
    assert str(of_a_users_code(ValueError(says))) == f"{reason} (task.py)"
