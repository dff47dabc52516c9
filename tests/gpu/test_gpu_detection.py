"""Which GPUs there are, against drivers that say all kinds of things: torch decides, and nvidia-smi says why not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pretended_gpu import pretended
from stub_driver import card, driver  # noqa: F401

from sqrtscale.devices import Card, best_first, devices
from sqrtscale.gpu import detection, reasons
from sqrtscale.gpu.detection import detect
from sqrtscale.processes import command, environment
from sqrtscale.rules import FieldError
from sqrtscale.runner.device import gpus, occupied
from sqrtscale.training import device as training_device
from sqrtscale.training import gpus as in_torch

TWO = (card(0, "NVIDIA A"), card(1, "NVIDIA B"))


def test_what_torch_can_use_decides(driver):  # noqa: F811
    driver.nodes("nvidia0", "nvidia1")
    driver.smi("NVIDIA A", "NVIDIA B", "NVIDIA C")
    driver.torch(*TWO)
    assert [each.name for each in gpus()] == ["NVIDIA A", "NVIDIA B"]
    for name in ("auto", "cuda", "cuda:0", "cuda:00", "cuda:0,cuda"):
        assert occupied(name) == ("cuda:0",)
    assert occupied("cuda:1") == ("cuda:1",) and occupied("cpu") == ("cpu",)
    assert occupied("all") == occupied("cuda:0,cuda:1") == ("cuda:0", "cuda:1")
    assert driver.questions() == ["sqrtscale.training.gpus  PCI_BUS_ID"]  # once, with the numbers of the driver's tools


def test_the_card_with_the_most_memory_is_the_one_that_auto_takes(driver):  # noqa: F811
    driver.nodes("nvidia0", "nvidia1", "nvidia2")
    driver.torch(card(0, "NVIDIA T400", memory=4 << 30), card(1, "NVIDIA A", error="no kernel image"), card(2, "NVIDIA B"))
    assert occupied("auto") == ("cuda:2",) and occupied("all") == ("cuda:0", "cuda:2")
    assert [each.index for each in gpus()] == [2, 0]


def test_a_driver_that_lists_cards_which_torch_cannot_use_means_the_cpu(driver):  # noqa: F811
    driver.nodes("nvidia0")
    driver.smi("NVIDIA A")
    driver.torch(error="The NVIDIA driver on your system is too old (found version 12040).")
    assert gpus() == () and occupied("auto") == occupied("all") == ("cpu",)


@pytest.mark.parametrize("says", ["exit 1", "exec sleep 60", "echo nonsense", "kill -SEGV $$"])
def test_a_torch_that_hangs_or_dies_means_the_cpu(driver, says, monkeypatch):  # noqa: F811
    driver.nodes("nvidia0")
    driver.program("python", says)
    monkeypatch.setattr(detection, "PATIENCE", 0.5)
    found = detect()
    assert found.cards == () and found.error and occupied("auto") == ("cpu",)


@pytest.mark.parametrize("sign", [lambda d: d.drives(), lambda d: d.pci(), lambda d: d.pci(kind="0x030000")])
def test_a_card_without_device_files_is_seen_by_the_driver_or_the_bus(driver, sign):  # noqa: F811
    sign(driver)
    driver.torch(TWO[0])
    assert occupied("auto") == ("cuda:0",) and detect().asked and not detect().built_without


def test_what_else_is_on_the_bus_is_no_sign(driver):  # noqa: F811
    driver.pci("0x1af4")
    driver.pci("0x10de", "0x040300", "0000:01:00.1")  # the sound of a card
    assert detection.pci() == [] and occupied("auto") == ("cpu",) and driver.questions() == []


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"%s": 1}', '{"%s": {"at": "x", "for_good": true, "value": {}}}',
                                  '{"%s": {"at": 0, "for_good": true, "value": {"colour": 1}}}',
                                  '{"%s": {"at": 0, "for_good": true, "value": {"cards": [1]}}}', "[" * 100_000])
def test_a_memory_of_another_shape_is_none(driver, home, text):  # noqa: F811
    driver.nodes("nvidia0")
    driver.torch(TWO[0])
    home.mkdir(exist_ok=True)
    key = json.dumps(f"detection {detection.fingerprint()}")[1:-1]
    (home / "gpus.json").write_text(text % key if "%s" in text else text)
    assert detect().usable == detect().usable == (0,) and len(driver.questions()) == 1


def test_what_another_version_remembers_is_not_taken(driver, monkeypatch):  # noqa: F811
    driver.nodes("nvidia0")
    driver.torch(TWO[0])
    detect()
    monkeypatch.setattr("sqrtscale.gpu.detection.__version__", "0.0.1")
    assert detect().usable == (0,) and len(driver.questions()) == 2


def test_torch_is_not_asked_where_there_is_no_sign_of_a_gpu(driver):  # noqa: F811
    assert gpus() == ()
    driver.nodes("nvidia0")
    driver.version("2.13.0+cpu")
    gpus.cache_clear()
    assert gpus() == () and occupied("all") == ("cpu",) and driver.questions() == []


def test_the_answer_is_remembered_until_driver_torch_or_cards_change(driver):  # noqa: F811
    driver.nodes("nvidia0")
    driver.torch(TWO[0])
    changes = [lambda: None, lambda: driver.nodes("nvidia1"), lambda: driver.nodes("nvidia-caps/nvidia-cap3"), driver.loaded,
               lambda: driver.version("2.14.0"), lambda: driver.monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")]
    for count, change in enumerate(changes, 1):
        change()
        assert detect().usable == detect().usable == (0,) and len(driver.questions()) == count
    detect(anew=True)
    assert len(driver.questions()) == len(changes) + 1


def test_a_failure_is_remembered_for_a_while(driver, monkeypatch):  # noqa: F811
    driver.nodes("nvidia0")
    driver.torch(error="CUDA unknown error")
    assert detect().error == detect().error == "CUDA unknown error" and len(driver.questions()) == 1
    monkeypatch.setattr("sqrtscale.gpu.memory.FAILURES_FOR", 0.0)
    driver.torch(TWO[0])
    assert detect().usable == (0,)


def test_a_home_that_cannot_be_written_only_costs_time(driver, home):  # noqa: F811
    home.write_text("no folder")
    driver.nodes("nvidia0")
    driver.torch(TWO[0])
    assert detect().usable == detect().usable == (0,) and len(driver.questions()) == 2


OLD = {"error": "The NVIDIA driver on your system is too old (found version 12040).", "driver_cuda": "12.4"}
NONE = {"error": "No CUDA GPUs are available"}
NO_KERNEL = {"error": "CUDA error: no kernel image is available for execution on the device"}
CASES = {  # what the machine says, words of the sentence, words of the remedy
    "no torch": (
        lambda d: d.version(""),
        "torch is not installed", "install torch"),
    "nothing": (
        lambda d: None,
        "No GPU is here", ""),
    "a build without CUDA": (
        lambda d: (d.version("2.13.0+cpu"), d.smi("NVIDIA H100", cuda="12.4")),
        "NVIDIA H100 is here, and torch 2.13.0+cpu is built without CUDA", "cu126 index"),
    "a build without CUDA, newest driver": (
        lambda d: (d.version("2.13.0+cpu"), d.smi("NVIDIA H100")),
        "built without CUDA", "cu130 index"),
    "a build without CUDA that was asked": (
        lambda d: (d.smi("NVIDIA H100"), d.torch(cuda="")),
        "NVIDIA H100 is here, and torch 2.13.0 is built without CUDA", "cu130 index"),
    "a card without a driver": (
        lambda d: (d.pci(), d.torch(error="Found no NVIDIA driver on your system.")),
        "An NVIDIA GPU is here, and no driver for it is loaded", "install NVIDIA's driver"),
    "a driver older than CUDA": (
        lambda d: (d.smi("NVIDIA H100", driver="550.54", cuda="12.4"), d.torch(**OLD)),
        "Driver 550.54, which can CUDA 12.4, is older than CUDA 13.0 of this torch needs",
        "install torch from PyTorch's cu126 index, or update the driver"),
    "a driver older than any build": (
        lambda d: (d.smi("NVIDIA V100", driver="470.1", cuda="11.4"), d.torch(**OLD)),
        "Driver 470.1", "update the driver to 525 or newer"),
    "an old card": (
        lambda d: (d.smi("NVIDIA P100"), d.torch(card(0, "NVIDIA P100", capability="6.0", **NO_KERNEL))),
        "NVIDIA P100 has capability 6.0, and torch 2.13.0 has kernels for sm_75, sm_90", "cu126 index"),
    "a new card": (
        lambda d: (d.smi("NVIDIA X"), d.torch(card(0, "NVIDIA X", capability="15.0", **NO_KERNEL))),
        "NVIDIA X has capability 15.0", "install a newer torch"),
    "a container without GPUs": (
        lambda d: d.loaded(),
        "no GPU is given to this container", "--gpus all"),
    "hidden": (
        lambda d: (d.smi("NVIDIA H100"), d.monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ""), d.torch(**NONE)),
        "CUDA_VISIBLE_DEVICES = '' hides every GPU from torch", "unset CUDA_VISIBLE_DEVICES"),
    "an updated driver": (
        lambda d: (d.smi_fails("Failed to initialize NVML: Driver/library version mismatch"), d.torch(**NONE)),
        "driver was updated", "restart the machine"),
    "a lost card": (
        lambda d: (d.smi_fails("Unable to determine the device handle for GPU0: GPU is lost"), d.torch(**NONE)),
        "has lost the GPU", "restart the machine"),
    "a driver that is not running": (
        lambda d: (d.smi_fails("It has failed because it couldn't communicate with the NVIDIA driver."), d.torch(**NONE)),
        "not running", "install the driver"),
    "another program's": (
        lambda d: (d.smi("NVIDIA H100"), d.torch(card(error="CUDA-capable device(s) is/are busy or unavailable"))),
        "for itself alone", "end that program"),
    "full memory": (
        lambda d: (d.smi("NVIDIA H100"), d.torch(card(error="CUDA out of memory."))),
        "memory is full", "end the programs"),
    "MIG without slices": (
        lambda d: (d.smi("NVIDIA H100"), d.torch(**NONE)),
        "torch is shown no device of it", "create a slice"),
    "AMD, another build": (
        lambda d: (d.nodes("kfd"), d.torch(**NONE)),
        "An AMD GPU is here, and torch 2.13.0 is not built for ROCm", "ROCm index"),
    "Apple": (
        lambda d: (d.nodes("nvidia0"), d.torch(mps=True)),
        "Apple's GPU has no double precision", ""),
    "what nobody knows": (
        lambda d: (d.smi("NVIDIA H100"), d.torch(error="error 999")),
        "NVIDIA H100 cannot be used by torch 2.13.0: error 999", "nvidia-smi"),
}


@pytest.mark.parametrize("says, sentence, remedy", CASES.values(), ids=CASES)
def test_why_torch_uses_no_gpu_and_what_to_do(driver, says, sentence, remedy):  # noqa: F811
    says(driver)
    reason = reasons.why_not(detect(), reasons.look())
    assert sentence in reason.sentence and remedy in reason.remedy and bool(remedy) == bool(reason.remedy)
    assert not reason.sentence.endswith(".") and "\n" not in reason.sentence


def test_slices_are_counted(driver):  # noqa: F811
    driver.smi("NVIDIA H100", slices=3)
    machine = reasons.look()
    assert machine.cards == ("NVIDIA H100",) and machine.slices == 3 and machine.driver == "580.65.06" and machine.cuda == "13.0"


def test_a_driver_program_that_hangs_is_not_waited_for(driver, monkeypatch):  # noqa: F811
    monkeypatch.setattr(reasons, "PATIENCE", 0.3)
    driver.program("nvidia-smi", "exec sleep 60")
    driver.nodes("nvidia0")
    driver.torch(error="no word")
    assert "does not answer" in reasons.why_not(detect(), reasons.look()).sentence


def test_the_process_that_is_asked_answers_what_this_one_sees():
    done = subprocess.run(command("training.gpus"), capture_output=True, text=True, env=environment(), timeout=120)
    assert json.loads(done.stdout) == in_torch.report() and done.returncode == 0


def test_cards_are_tried_not_counted():
    """In the process that trains, where ``auto`` may come from somebody's own program."""
    with pretended(2):
        report = in_torch.report()
        assert [Card(**each) for each in report["cards"]] == list(in_torch.cards())
        assert [each.error for each in in_torch.cards()] == ["", ""] and in_torch.cards([1])[0].index == 1
        assert [str(each) for each in training_device.resolve("all")] == ["cuda:0", "cuda:1"]
        assert [str(each) for each in training_device.resolve("auto")] == ["cuda:0"]


def test_a_card_without_kernels_is_passed_over_and_refused_by_name(monkeypatch):
    with pretended(2):
        usual = in_torch._card
        monkeypatch.setattr(in_torch, "_card", lambda i: usual(i) if i else Card(0, "Old", "6.0", 1 << 40, 0, "no kernel image"))
        assert [str(each) for each in training_device.resolve("auto")] == ["cuda:1"]
        with pytest.raises(FieldError, match=r"cuda:0' cannot be used, no kernel image: give one of cpu, cuda:1"):
            training_device.resolve("cuda:0")
        with pytest.raises(FieldError, match=r"is not on this machine: give one of cpu, cuda:0, cuda:1"):
            training_device.resolve("cuda:7")


def test_names_of_devices():
    assert best_first([Card(0, "a", memory=1), Card(1, "b", memory=2), Card(2, "c", memory=2), Card(3, "d", memory=9, error="x")]
                      ) == (1, 2, 0)
    assert devices("all", (1, 0)) == ("cuda:0", "cuda:1") and devices("auto", (1, 0)) == ("cuda:1",)
    assert devices("all", ()) == devices("auto", ()) == devices("cpu", (0,)) == ("cpu",)
    for name in ("mps", "mps:0"):
        with pytest.raises(FieldError, match=r"Apple's GPU.*give cpu"):
            devices(name, ())


def test_no_question_is_asked_by_a_program_of_the_working_folder():
    assert "-P" in command("training.gpus") and command("training.gpus")[0] == sys.executable
