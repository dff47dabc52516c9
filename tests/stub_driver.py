"""A machine with a GPU's driver that says whatever a test wants: ``nvidia-smi``, ``python``, and folders for /dev and /proc."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from sqrtscale.gpu import detection
from sqrtscale.runner import device

HEAD = "| NVIDIA-SMI {driver}    Driver Version: {driver}    CUDA Version: {cuda}     |"
TORCH = {"torch": "2.13.0", "cuda": "13.0", "hip": "", "driver_cuda": "13.0", "architectures": ["sm_75", "sm_90"], "cards": [],
         "error": "", "mps": False}


def card(index: int = 0, name: str = "NVIDIA H100", **more) -> dict:
    return {"index": index, "name": name, "capability": "9.0", "memory": 80 << 30, "free": 79 << 30, "error": ""} | more


def row(what: str, device: str = "cuda:0", executor: str = "eager", **more) -> dict:
    return {"what": what, "device": device, "executor": executor, "ms": 1.25, "difference": 1e-6, "agrees": True, "error": "",
            "seconds": 0.0} | more


class Driver:
    """What stands in for the real one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        (folder / "dev").mkdir(parents=True)
        monkeypatch.setattr(detection, "DEV", folder / "dev")
        monkeypatch.setattr(detection, "PROC", folder / "proc")
        monkeypatch.setattr(detection, "SYS", folder / "sys")
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
            monkeypatch.delenv(name, raising=False)
        self.asked = folder / "asked"  # a line for each process of ours that was started
        self.program("python", f'echo "$4 $5 $CUDA_DEVICE_ORDER" >> {self.asked}',
                     f'case "$4" in *.gpus|*.trial) ;; *) exec {sys.executable} "$@";; esac',
                     f'file={folder}/$4"$5""$SQRTSCALE_CUDA_GRAPHS"', 'cat "$file" && exit $(cat "$file.code")')
        monkeypatch.setattr(sys, "executable", str(folder / "python"))
        self.version("2.13.0")
        self.trial("cpu", [row("digits, adam", "cpu", "compiled")])
        device.gpus.cache_clear()

    def program(self, name: str, *lines: str) -> None:
        path = self.folder / name
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)

    def version(self, torch: str) -> None:
        """Of the torch that is installed."""
        self.monkeypatch.setattr(detection, "torch_version", lambda: torch)

    def nodes(self, *names: str) -> None:
        """What is in /dev."""
        for name in names:
            (self.folder / "dev" / name).parent.mkdir(exist_ok=True)
            (self.folder / "dev" / name).touch()

    def loaded(self) -> None:
        """NVIDIA's kernel module is."""
        (self.folder / "proc" / "driver" / "nvidia").mkdir(parents=True, exist_ok=True)
        (self.folder / "proc" / "driver" / "nvidia" / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module")

    def drives(self, address: str = "0000:01:00.0") -> None:
        """NVIDIA's loaded driver has that card."""
        (self.folder / "proc" / "driver" / "nvidia" / "gpus" / address).mkdir(parents=True)

    def pci(self, vendor: str = "0x10de", kind: str = "0x030200", address: str = "0000:01:00.0") -> None:
        """A device is on the bus."""
        place = self.folder / "sys" / "bus" / "pci" / "devices" / address
        place.mkdir(parents=True)
        (place / "vendor").write_text(vendor + "\n")
        (place / "class").write_text(kind + "\n")

    def smi(self, *names: str, slices: int = 0, driver: str = "580.65.06", cuda: str = "13.0", made: bool = True) -> None:
        """nvidia-smi lists these cards, and there is one at least; made: so is its device file."""
        cards = [f"GPU {i}: {name} (UUID: GPU-{i})" for i, name in enumerate(names)]
        cut = [f"  MIG 1g.10gb     Device  {i}: (UUID: MIG-{i})" for i in range(slices)]
        listed = "\n".join([*cards, *cut])
        head = HEAD.format(driver=driver, cuda=cuda)
        self.nodes(*["nvidia0"] * made)
        self.program("nvidia-smi", f'if [ "$1" = -L ]; then echo "{listed}"; else echo "{head}"; fi')

    def smi_fails(self, says: str, code: int = 9) -> None:
        self.nodes("nvidia0")
        self.program("nvidia-smi", f'echo "{says}"; exit {code}')

    def torch(self, *cards: dict, code: int = 0, **more) -> None:
        """What the process that loads torch answers."""
        self._answer("sqrtscale.training.gpus", json.dumps(TORCH | {"cards": list(cards)} | more), code)

    def trial(self, device: str, rows: list[dict], code: int = 0, graphs: str = "") -> None:
        """What a trial prints; graphs: "off" for the one without them."""
        lines = [json.dumps(line) for each in rows for line in ({"begins": each["what"]}, each)]
        self._answer(f"sqrtscale.training.trial{device}{graphs}", "\n".join(lines), code)

    def _answer(self, name: str, text: str, code: int) -> None:
        (self.folder / name).write_text(text + "\n")
        (self.folder / f"{name}.code").write_text(str(code))

    def questions(self) -> list[str]:
        """The modules of ours that were started, with their first argument and the order of devices."""
        return self.asked.read_text().splitlines() if self.asked.exists() else []


@pytest.fixture
def driver(tmp_path, monkeypatch):
    yield Driver(tmp_path / "machine", monkeypatch)
    device.gpus.cache_clear()
