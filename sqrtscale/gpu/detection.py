"""Which GPUs torch can use: asked in a process of its own, because a broken driver may hang it, and remembered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from ..devices import Card, best_first
from ..processes import command, environment
from . import memory

DEV, PROC, SYS = Path("/dev"), Path("/proc"), Path("/sys")
NODES = ("nvidia[0-9]*", "dxg", "kfd")  # what a GPU's driver puts there: NVIDIA's, Windows' for Linux, AMD's
NVIDIA, DISPLAY = "0x10de", "0x03"  # vendor of a PCI device, beginning of the class of a graphics or compute card
PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Detection:
    """What torch says of itself and of the GPUs.

    torch: its version, empty where it is not installed; cuda, hip: what it was built for; driver_cuda: the newest CUDA that the
    driver knows; architectures: that it has kernels for; error: why there are no cards; mps: whether torch can use Apple's GPU;
    asked: whether torch has said all this itself.
    """

    torch: str = ""
    cuda: str = ""
    hip: str = ""
    driver_cuda: str = ""
    architectures: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    error: str = ""
    mps: bool = False
    asked: bool = False

    @property
    def usable(self) -> tuple[int, ...]:
        """Indices of the cards that calibrations can run on, the best one first."""
        return best_first(self.cards)

    @property
    def built_without(self) -> bool:
        """Whether torch is known to be built for no GPU."""
        return self.torch.endswith("+cpu") or (self.asked and not (self.cuda or self.hip or self.error))

    @property
    def best(self) -> Card | None:
        """The card that ``auto`` takes."""
        return self.card()

    def card(self, index: int | None = None) -> Card | None:
        """The card of that index, the best one if left out; None where it cannot be used."""
        usable = self.usable if index is None else set(self.usable) & {index}
        return next((card for i in usable for card in self.cards if card.index == i), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Detection:
        """The inverse of :meth:`as_dict`."""
        cards = tuple(Card(**card) for card in values.get("cards", ()))
        return cls(**{**values, "cards": cards, "architectures": tuple(values.get("architectures", ()))})


def torch_version() -> str:
    """Of the torch that is installed; empty without one."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def nodes() -> list[str]:
    """What drivers of GPUs have put into /dev."""
    return sorted(path.name for node in NODES for path in DEV.glob(node))


def pci() -> list[str]:
    """Addresses of NVIDIA's cards, by the loaded driver and by the bus: device files may be made on first use only."""
    addresses = {path.name for path in (PROC / "driver" / "nvidia" / "gpus").glob("*")}
    for device in (SYS / "bus" / "pci" / "devices").glob("*"):
        if _text(device / "vendor") == NVIDIA and _text(device / "class").startswith(DISPLAY):
            addresses.add(device.name)
    return sorted(addresses)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def fingerprint() -> str:
    """What an answer depends on and is seen without asking: host, start, our version, torch, driver, cards, what is hidden."""
    hiding = {name: value for name, value in os.environ.items() if name.endswith(("_VISIBLE_DEVICES", "_DEVICE_ORDER"))}
    slices = sorted(path.name for path in (DEV / "nvidia-caps").glob("*"))
    return json.dumps([os.uname().nodename, _text(PROC / "sys/kernel/random/boot_id"), __version__, torch_version(),
                       sys.executable, _text(PROC / "driver/nvidia/version"), nodes(), pci(), slices, hiding], sort_keys=True)


def detect(anew: bool = False, listed: bool = False) -> Detection:
    """What torch can use here; anew: whatever is remembered; listed: whether ``nvidia-smi`` lists a card.

    Costs nothing where there is no sign of a GPU.
    """
    version = torch_version()
    if not version or version.endswith("+cpu"):  # a torch without CUDA uses none, whatever is there
        return Detection(version)
    if not (listed or nodes() or pci()) and not (anew and sys.platform == "darwin"):
        return Detection(version)
    known = None if anew else memory.recall("detection", fingerprint(), Detection.from_dict)
    if known is not None:
        return known
    answer = _asked(version)
    memory.keep("detection", fingerprint(), answer.as_dict(), for_good=bool(answer.usable))
    return answer


def _asked(version: str) -> Detection:
    """What a process says that loads torch."""
    try:
        done = subprocess.run(command("training.gpus"), capture_output=True, text=True, timeout=PATIENCE, env=environment())
    except subprocess.TimeoutExpired:
        return Detection(version, error=f"torch did not answer within {PATIENCE:.0f} s")
    except OSError as error:
        return Detection(version, error=str(error))
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        return Detection(version, error=f"the process that asked torch ended with {done.returncode}: {last[:300]}")
    try:
        return replace(Detection.from_dict(json.loads(lines[-1])), torch=version, asked=True)
    except (ValueError, TypeError) as error:
        return Detection(version, error=f"torch's answer was not understood: {error}")
