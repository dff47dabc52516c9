"""The doctor's answer, its trial on a pretended GPU, and what a calibration's supervisor does with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import torch
from pretended_gpu import pretended
from stub_driver import card, driver, row  # noqa: F401

from sqrtscale.cli import main
from sqrtscale.gpu import Diagnosis, diagnose, remembered
from sqrtscale.gpu import diagnosis as diagnosing
from sqrtscale.gpu.words import duration, facts, trials
from sqrtscale.runner.device import gpus, occupied, refused, settings
from sqrtscale.training import executors, trial
from sqrtscale.training.executors import Captured, Eager, recording
from sqrtscale.training.gpus import cards
from sqrtscale.training.optimizers.adam import Adam

STEP, GRAPH = row("digits, adam"), row("digits, adam, as a CUDA graph", executor="captured", ms=0.2)
GOOD = [STEP, GRAPH, row("a larger pass", executor=""), row("a copy", executor="")]


@pytest.fixture
def h100(driver):  # noqa: F811
    driver.smi("NVIDIA H100")
    driver.torch(card(0, "NVIDIA H100"))
    driver.trial("cuda:0", GOOD)
    driver.trial("cuda:0", [STEP], graphs="off")
    return driver


def test_a_gpu_that_does_all_right(h100):
    found = diagnose()
    assert (found.outcome, found.runs, found.remedy) == ("graph", True, "")
    assert found.sentence == "Calibrations run on NVIDIA H100, small steps as CUDA graphs" and list(found.rows) == GOOD
    assert remembered() == found and occupied("auto") == ("cuda:0",) and settings(("cuda:0",)) == {}


CASES = {  # rows and exit code of the trial, of the one without graphs -> outcome, words of the sentence
    "no graph": ([STEP, GRAPH | {"agrees": False, "error": "operation not permitted"}], 0, [], 0,
                 "eager", "digits, adam, as a CUDA graph cannot be captured as a CUDA graph (operation not permitted)"),
    "a wrong graph": ([STEP, GRAPH | {"agrees": False, "difference": 0.5}], 0, [], 0, "eager", "50.0% off the same step"),
    "died of a graph": ([STEP], 139, [STEP], 0, "eager", "the trial with CUDA graphs died at digits, adam"),
    "died twice": ([STEP], 139, [STEP], 1, "cpu", "died at digits, adam (no word, exit code 1)"),
    "wrong numbers": ([STEP | {"agrees": False, "difference": 0.25}, GRAPH], 0, [], 0, "cpu", "25.0% off what the CPU computes"),
    "an error": ([STEP | {"agrees": False, "error": "an illegal memory access"}], 0, [], 0, "cpu", "illegal memory access"),
}


@pytest.mark.parametrize("rows, code, again, code_again, outcome, words", CASES.values(), ids=CASES)
def test_a_gpu_that_fails(h100, rows, code, again, code_again, outcome, words):
    h100.trial("cuda:0", rows, code)
    h100.trial("cuda:0", again, code_again, graphs="off")
    found = diagnose()
    assert found.outcome == outcome and words in found.sentence and found.remedy and found.runs and "\n" not in found.advice
    assert occupied("auto") == occupied("all") == (("cpu",) if outcome == "cpu" else ("cuda:0",))
    assert settings(("cuda:0",)) == ({"SQRTSCALE_CUDA_GRAPHS": "off"} if outcome == "eager" else {})
    assert settings(("cpu",)) == {}
    assert ("sqrtscale.training.trial cpu PCI_BUS_ID" in h100.questions()) is (outcome == "cpu")


def test_a_trial_that_hangs_is_ended(h100, monkeypatch):
    monkeypatch.setattr(diagnosing, "PATIENCE", 0.3)
    monkeypatch.setattr(diagnosing, "LOOK_EVERY", 0.1)
    h100.program("python", 'case "$4" in *gpus) cat ' + f"{h100.folder}/sqrtscale.training.gpus;;",
                 '*) echo \'{"begins": "pydoc, sgd"}\'; exec sleep 60;; esac')
    looks = []
    found = diagnose(quick=True, meanwhile=lambda: looks.append(0))
    assert found.outcome == "cpu" and "did not end within 0 s, at pydoc, sgd" in found.sentence and looks


def test_a_cpu_that_is_busy_proves_nothing(driver, monkeypatch):  # noqa: F811
    monkeypatch.setattr(diagnosing, "PATIENCE", 0.3)
    monkeypatch.setattr(diagnosing, "LOOK_EVERY", 0.1)
    driver.program("python", f"cat {driver.folder}/sqrtscale.training.trialcpu; exec sleep 60")
    found = diagnose()
    assert found.runs and found.sentence == "No GPU is here; calibrations run on the CPU" and len(found.rows) == 1


def test_without_a_gpu_it_says_what_to_expect(driver):  # noqa: F811
    driver.trial("cpu", [row("digits, adam", "cpu", "compiled"), row("digits, whole calibration", "cpu", seconds=91.0)])
    found = diagnose()
    assert (found.outcome, found.sentence, found.runs) == ("cpu", "No GPU is here; calibrations run on the CPU", True)
    assert ("digits, whole calibration", "cpu", "", "", "", "91 s at most") in trials(found)
    assert duration(119) == "119 s" and duration(191.1) == "3 min" and remembered() is None


@pytest.mark.parametrize("rows, version, words", [
    ([row("digits, adam", "cpu", "compiled", error="Illegal instruction", agrees=False)], "2.13.0", "Illegal instruction"),
    ([row("digits, adam", "cpu", "compiled")], "2.13.0", "died at digits, adam (no word, exit code 132)"),
    ([], "", "torch is not installed")])
def test_where_none_can_run_it_fails(driver, capsys, rows, version, words):  # noqa: F811
    driver.version(version)
    driver.trial("cpu", rows, 132 if "died" in words else 0)
    assert main(["doctor"]) == 1 and words in capsys.readouterr().out


def test_on_the_command_line(h100, capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "graph: Calibrations run on NVIDIA H100, small steps as CUDA graphs."
    assert "driver:       580.65.06, up to CUDA 13.0" in said
    assert "cuda:0:       NVIDIA H100, capability 9.0, 79.0 GiB of 80.0 GiB free" in said
    assert any(line.split() == ["digits,", "adam", "cuda:0", "eager", "1.25", "1.0e-06"] for line in said)
    assert main(["doctor", "--json", "--quick"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "graph" and found["machine"]["driver"] == "580.65.06"
    assert Diagnosis.from_dict(found) == remembered()


def test_a_card_that_only_nvidia_smi_lists_is_asked_for(driver):  # noqa: F811
    driver.smi("NVIDIA H100", made=False)
    driver.torch(card(0, "NVIDIA H100"))
    driver.trial("cuda:0", GOOD)
    assert diagnose(quick=True).outcome == "graph"


def test_what_torch_is_built_for_is_said_only_where_it_is_known(driver):  # noqa: F811
    assert dict(facts(diagnose(quick=True)))["torch"] == "2.13.0"
    driver.version("2.13.0+cpu")
    assert dict(facts(diagnose(quick=True)))["torch"] == "2.13.0+cpu, built for no GPU"


def test_every_card_has_a_trial_of_its_own(driver):  # noqa: F811
    driver.smi("NVIDIA A", "NVIDIA A")
    driver.torch(card(0, "NVIDIA A"), card(1, "NVIDIA A"))
    driver.trial("cuda:0", [STEP | {"error": "no", "agrees": False}])
    driver.trial("cuda:1", [STEP, GRAPH | {"agrees": False}])
    assert occupied("all") == ("cuda:0", "cuda:1")
    assert refused(("cuda:1",), lambda: None) == "" and remembered(0) is None and remembered(1).outcome == "eager"
    assert refused(("cuda:0",), lambda: None).startswith("NVIDIA A (cuda:0) fails in the trial")
    assert occupied("auto") == occupied("all") == ("cuda:1",) and occupied("cuda:0") == ("cuda:0",)
    assert settings(("cuda:1",)) == {"SQRTSCALE_CUDA_GRAPHS": "off"} and settings(("cuda:0",)) == {}
    assert refused(("cuda:7",), lambda: None) == ""  # the training process names the cards


def test_after_a_fault_one_that_is_lost_of_several_is_refused(driver):  # noqa: F811
    driver.smi("NVIDIA A", "NVIDIA A")
    driver.torch(card(0, "NVIDIA A"), card(1, "NVIDIA A"))
    driver.trial("cuda:0", GOOD)
    driver.trial("cuda:1", GOOD)
    both = occupied("all")
    driver.torch(card(0, "NVIDIA A"))
    assert both == ("cuda:0", "cuda:1") and "cannot be used by torch" in refused(both, lambda: None, anew=True)


def test_the_doctor_tries_one_card_after_another_and_says_first_what_auto_takes(driver, capsys):  # noqa: F811
    driver.smi("NVIDIA A", "NVIDIA A", "NVIDIA B")
    driver.torch(card(0, "NVIDIA A"), card(1, "NVIDIA A"), card(2, "NVIDIA B", error="no kernel image is available"))
    driver.trial("cuda:0", [STEP | {"agrees": False, "error": "CUDA error: uncorrectable ECC error encountered"}])
    driver.trial("cuda:1", [STEP | {"device": "cuda:1"}, GRAPH | {"device": "cuda:1"}])
    assert main(["doctor", "--quick"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "graph: Calibrations run on NVIDIA A (cuda:1), small steps as CUDA graphs."
    assert said[1].startswith("cpu: NVIDIA A (cuda:0) fails in the trial at digits, adam (CUDA error: uncorrectable ECC")
    assert [line.split()[2] for line in said if line.startswith("digits, adam ")] == ["cuda:1", "cuda:0"]
    assert sum(line.startswith("cuda:1: ") for line in said) == sum(line.startswith("tried ") for line in said) == 1
    tried = [question.split()[1] for question in driver.questions() if ".trial" in question]
    assert tried == ["cuda:0", "cuda:1"] and occupied("auto") == ("cuda:1",)
    assert main(["doctor", "--quick", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "graph" and [other["outcome"] for other in found["others"]] == ["cpu"]


def test_a_memory_that_is_full_is_not_held_against_a_card(h100):
    full = STEP | {"error": "CUDA out of memory. Tried to allocate 20.00 MiB.", "agrees": False}
    h100.trial("cuda:0", [full])
    for trials_made in (1, 2):
        assert refused(("cuda:0",), lambda: None) == (
            "The memory of NVIDIA H100 is full: end the programs that hold it (nvidia-smi lists them), or choose the CPU")
        assert remembered() is None and h100.questions().count("sqrtscale.training.trial cuda:0 PCI_BUS_ID") == trials_made
    h100.trial("cuda:0", GOOD)
    assert refused(("cuda:0",), lambda: None) == "" and remembered().outcome == "graph"


def test_what_else_is_said_of_the_machine(h100):
    h100.smi("NVIDIA H100", "NVIDIA T4", slices=2)
    h100.torch(card(0, "NVIDIA H100"), card(1, "NVIDIA A", error="no kernel image"), hip="6.4", cuda="")
    said = dict(facts(diagnose(quick=True)))
    assert said["also here"] == "NVIDIA T4" and said["MIG"].startswith("2 slices")
    assert said["torch"] == "2.13.0, built for ROCm 6.4"
    assert said["cuda:1"] == "NVIDIA A, capability 9.0, cannot be used: no kernel image" and said["kernels for"] == "sm_75, sm_90"


def test_the_first_calibration_on_a_gpu_tries_it_once(h100):
    assert refused(("cpu",), lambda: None) == "" and h100.questions() == []
    for _ in range(2):
        assert refused(("cuda:0",), lambda: None) == ""
        assert h100.questions().count("sqrtscale.training.trial cuda:0 PCI_BUS_ID") == 1
    h100.version("2.14.0")  # another torch is another trial
    h100.trial("cuda:0", [STEP | {"error": "no", "agrees": False}])
    gpus.cache_clear()
    assert occupied("auto") == ("cuda:0",)
    assert refused(("cuda:0",), lambda: None).startswith("NVIDIA H100 fails in the trial at digits, adam (no)")
    assert occupied("auto") == ("cpu",) and occupied("cuda:0") == ("cuda:0",)


@pytest.fixture
def few(monkeypatch):
    """One task and two optimizers."""
    monkeypatch.setattr(trial, "TASKS", {"digits": trial.TASKS["digits"]})
    monkeypatch.setattr(trial, "TRAINED", ("adam", "sgd"))
    monkeypatch.setattr(trial, "TIMED", 2)
    monkeypatch.setattr(executors, "TABLE", (Captured, Eager))
    monkeypatch.setattr(recording, "_failures", [])
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield monkeypatch
    torch.set_num_threads(usual)


def tried() -> dict[str, trial.Row]:
    return {each.what: each for each in trial.rows(torch.device("cuda:0"), quick=True)}


def test_the_trial_itself(few):
    with pretended() as gpu:
        rows = tried()
    assert list(rows) == ["digits, adam", "digits, adam, as a CUDA graph", "digits, sgd", "digits, sgd, as a CUDA graph",
                          "a larger pass", "a copy"]
    assert all(each.agrees and not each.error and each.ms > 0 and each.difference < 1e-6 for each in rows.values())
    assert len(gpu.graphs) == 2 and gpu.replays == 2 * (1 + trial.WARM + trial.TIMED)


def test_the_trial_sees_a_device_that_computes_wrong(few):
    usual = Eager.gradients
    few.setattr(Eager, "gradients", lambda self, *given: (
        (losses := usual(self, *given))[0], losses[1] * (1 + 0.01 * (self.device.type == "cuda"))))
    with pretended():
        rows = tried()
    assert not rows["digits, adam"].agrees and rows["digits, adam"].difference == pytest.approx(0.01, rel=1e-3)
    assert rows["digits, sgd, as a CUDA graph"].agrees  # held to the same device without a graph


def test_the_trial_sees_what_cannot_be_captured_and_goes_on(few):
    usual = Adam.step

    def waits(optimizer, parameters, gradients, lr_factor):
        assert gradients.sum().item() < 1e9
        usual(optimizer, parameters, gradients, lr_factor)

    few.setattr(Adam, "step", waits)
    with pretended():
        rows = tried()
    assert rows["digits, adam"].agrees and not rows["digits, adam, as a CUDA graph"].agrees
    assert "not permitted when stream is capturing" in rows["digits, adam, as a CUDA graph"].error
    assert diagnosing.judge([trial.asdict(each) for each in rows.values()], "", "X")[0] == "eager"


def test_the_trial_of_an_error_is_a_row(few):
    def breaks(optimizer, *given):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    few.setattr(Adam, "step", breaks)
    with pretended():
        rows = tried()
    assert "illegal memory access" in rows["digits, adam"].error and not rows["digits, adam"].agrees
    assert rows["digits, sgd"].agrees


def test_without_graphs_none_is_tried(few):
    few.setenv("SQRTSCALE_CUDA_GRAPHS", "off")
    with pretended() as gpu:
        rows = tried()
        one = trial._population(trial.TASKS["digits"], "adam", torch.device("cuda:0"), Captured)
        for batch in trial._batches(trial.TASKS["digits"], one.device, 3):
            one.step(batch)
    assert not any("graph" in what for what in rows) and gpu.graphs == [] and one.executor.recording is None


def test_the_trial_of_a_cpu_prints_what_the_doctor_reads(few, capsys):
    few.undo()
    few.setattr(trial, "TASKS", {"digits": trial.TASKS["digits"]})
    few.setattr(trial, "TRAINED", ("sgd",))
    assert trial.main(["cpu", "--quick"]) == 0
    begins, line = map(json.loads, capsys.readouterr().out.splitlines())
    assert begins == {"begins": "digits, sgd"} and line["device"] == "cpu" and line["executor"] == "eager" and line["agrees"]
    assert set(line) == set(STEP)


def test_the_capability_of_a_card_is_a_number():
    with pretended(2):
        assert [card.capability for card in cards()] == ["9.0", "9.0"]


@pytest.mark.parametrize(("used", "code"), [(True, 3), (False, -signal.SIGSEGV)])
def test_a_process_that_has_used_a_gpu_ends_before_python_clears_up(used, code):
    # As torch does there with CUDA graphs: what Python calls at its end dies.
    script = ("import atexit, os, signal, torch; from sqrtscale.processes import leave; "
              f"torch.cuda.is_initialized = lambda: {used}; "
              "atexit.register(lambda: os.kill(os.getpid(), signal.SIGSEGV)); print('written'); leave(3)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "written\n")
