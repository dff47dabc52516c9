"""Why torch uses no GPU here, in one sentence, and what to do. ``nvidia-smi`` says what torch cannot; it decides nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from . import detection
from .detection import Detection

PATIENCE = 20.0  # seconds
LEAST_DRIVER = "525"  # of CUDA 12, for which torch's oldest builds are made
OLD_CARDS = 7.5  # capability: below it only the builds for CUDA 12.6 have kernels
NO_GPU = "No GPU is here"
RESTART = "restart the machine"
OUT_OF_MEMORY = re.compile("out of memory|ALLOC_FAILED", re.IGNORECASE)
FREE_MEMORY = "end the programs that hold it (nvidia-smi lists them), or choose the CPU"


@dataclass(frozen=True)
class Machine:
    """What driver and system say: cards and slices as ``nvidia-smi -L`` lists them; driver, cuda: versions; complaint: why
    ``nvidia-smi`` failed, empty where it answered or is not there; loaded: whether NVIDIA's kernel module is; nodes: in /dev;
    pci: addresses of NVIDIA's cards."""

    cards: tuple[str, ...] = ()
    slices: int = 0
    driver: str = ""
    cuda: str = ""
    complaint: str = ""
    loaded: bool = False
    nodes: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()
    hidden: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reason:
    """A sentence without its full stop, and what to do; empty where nothing can be done or need be."""

    sentence: str
    remedy: str = ""


def look() -> Machine:
    """Ask the system; a GPU's driver may hang, so each question has a timeout."""
    code, listed = _said("nvidia-smi", "-L")
    cards = tuple(match[1] for match in re.finditer(r"^GPU \d+: (.+?) \(UUID", listed, re.MULTILINE))
    slices = len(re.findall(r"^\s+MIG ", listed, re.MULTILINE))
    head = _said("nvidia-smi")[1] if code == 0 else ""
    driver, cuda = (match[1] if (match := re.search(f"{name} Version: *([0-9.]+)", head)) else "" for name in ("Driver", "CUDA"))
    module = detection.PROC / "driver" / "nvidia" / "version"
    hidden = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
              if name in os.environ}
    return Machine(cards, slices, driver, cuda, " ".join(listed.split()) if code else "", module.exists(),
                   tuple(detection.nodes()), tuple(detection.pci()), hidden)


def _said(*question: str) -> tuple[int, str]:
    """Exit code and output; 0 and nothing where there is no such program."""
    try:
        done = subprocess.run(question, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return 124, f"it did not answer within {PATIENCE:.0f} s"
    except OSError:
        return 0, ""
    return done.returncode, done.stdout + done.stderr * (done.returncode != 0)


def why_not(found: Detection, machine: Machine) -> Reason:
    """Why no card can be used; the first rule that has an answer."""
    return next(reason for rule in RULES if (reason := rule(found, machine)) is not None)


def wheel(machine: Machine, capability: float = 99.0) -> str:
    """How to get a torch that the driver and the card can use."""
    if _version(machine.cuda) and _version(machine.cuda) < (12,):
        return f"update the driver to {LEAST_DRIVER} or newer, then install torch from PyTorch's cu126 index"
    index = "cu130" if _version(machine.cuda) >= (13,) and capability >= OLD_CARDS else "cu126"
    return f"install torch from PyTorch's {index} index"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _no_torch(found: Detection, machine: Machine) -> Reason | None:
    return None if found.torch else Reason("torch is not installed", "install torch")


def _apple(found: Detection, machine: Machine) -> Reason | None:
    if not found.mps:
        return None
    return Reason("Apple's GPU has no double precision in torch, and an optimizer counts its steps in it")


def _built_without(found: Detection, machine: Machine) -> Reason | None:
    """A torch for processors, or for another maker's cards."""
    build = f"torch {found.torch}"
    if "kfd" in machine.nodes and not machine.cards and (found.built_without or (found.cuda and not found.hip)):
        return Reason(f"An AMD GPU is here, and {build} is not built for ROCm", "install torch from PyTorch's ROCm index")
    if found.built_without and (machine.cards or machine.driver or machine.pci):
        return Reason(f"{_named(machine)} is here, and {build} is built without CUDA", wheel(machine))
    return None


def _hidden(found: Detection, machine: Machine) -> Reason | None:
    if found.cards or not machine.hidden or not (machine.nodes or machine.cards):
        return None
    name, value = next(iter(machine.hidden.items()))
    if value.strip() not in ("", "-1") and not re.search("no CUDA-capable|invalid device ordinal", found.error, re.IGNORECASE):
        return None
    return Reason(f"{name} = {value!r} hides every GPU from torch", f"unset {name}, or name a GPU that is there")


def _no_sign(found: Detection, machine: Machine) -> Reason | None:
    if machine.nodes or machine.cards or found.cards:
        return None
    if machine.loaded:
        return Reason("NVIDIA's driver is loaded, and no GPU is given to this container", "start the container with its GPUs "
                                                                                        "(docker run --gpus all)")
    if machine.complaint:
        return None
    if machine.pci:
        return Reason("An NVIDIA GPU is here, and no driver for it is loaded", "install NVIDIA's driver, then " + RESTART)
    return Reason(NO_GPU)


def _driver_broken(found: Detection, machine: Machine) -> Reason | None:
    said = f"{machine.complaint} {found.error}"
    if re.search("version mismatch", said, re.IGNORECASE):
        return Reason("NVIDIA's driver was updated, and the old one is still loaded", RESTART)
    if re.search("GPU is lost|fallen off the bus|Unable to determine the device handle|unknown error", said, re.IGNORECASE):
        return Reason("The driver has lost the GPU", RESTART)
    if re.search("couldn't communicate with the NVIDIA driver", said):
        return Reason("NVIDIA's driver is installed, and not running", "install the driver for this kernel, then " + RESTART)
    if "did not answer within" in said:
        return Reason("The GPU's driver does not answer", RESTART)
    return None


def _driver_too_old(found: Detection, machine: Machine) -> Reason | None:
    known = found.driver_cuda or machine.cuda
    told = re.search(r"driver on your system is too old|driver version is insufficient", found.error, re.IGNORECASE)
    older = found.cuda and known and _version(known)[:1] < _version(found.cuda)[:1] and not found.usable
    if not (told or older):
        return None
    driver = f"driver {machine.driver}" if machine.driver else "the driver"
    can = f", which can CUDA {known}," if known else ""
    return Reason(f"{_capital(driver)}{can} is older than CUDA {found.cuda} of this torch needs",
                  f"{wheel(machine if machine.cuda else Machine(cuda=known))}, or update the driver")


def _no_kernels(found: Detection, machine: Machine) -> Reason | None:
    card = next((card for card in found.cards if re.search("no kernel image|not compatible", card.error)), None)
    if card is None:
        return None
    capability = float(card.capability) if re.fullmatch(r"[\d.]+", card.capability) else 99.0
    remedy = wheel(machine, capability) if capability < OLD_CARDS else "install a newer torch"
    return Reason(f"{card.name} has capability {card.capability}, and torch {found.torch} has kernels for "
                  f"{', '.join(found.architectures) or 'others'}", remedy)


def _in_use(found: Detection, machine: Machine) -> Reason | None:
    said = " ".join([found.error, *(card.error for card in found.cards)])
    if re.search("busy or unavailable|exclusive", said, re.IGNORECASE):
        return Reason("Another program has the GPU for itself alone", "end that program, or set the compute mode to default "
                                                                    "(nvidia-smi -c DEFAULT)")
    if OUT_OF_MEMORY.search(said):
        return Reason("The GPU's memory is full", FREE_MEMORY)
    return None


def _sliced(found: Detection, machine: Machine) -> Reason | None:
    """MIG is on, and nothing was cut."""
    if found.cards or machine.slices or not machine.cards or not re.search("no CUDA.(capable|GPUs)", found.error, re.IGNORECASE):
        return None
    return Reason(f"{_named(machine)} is here, and torch is shown no device of it", "where MIG is on, create a slice "
                  "(nvidia-smi mig -cgi), else start the container with its GPUs")


def _not_allowed(found: Detection, machine: Machine) -> Reason | None:
    if "kfd" not in machine.nodes or found.cards:
        return None
    if not os.access(detection.DEV / "kfd", os.R_OK | os.W_OK):
        return Reason("This user may not use the AMD GPU (/dev/kfd)", "add the user to the groups render and video")
    return Reason(f"torch finds no AMD GPU that it can use: {found.error or 'it says no more'}", "check with rocminfo")


def _else(found: Detection, machine: Machine) -> Reason | None:
    said = found.error or next((card.error for card in found.cards if card.error), "") or machine.complaint
    named = _named(machine) if machine.cards else "The GPU"
    return Reason(f"{named} cannot be used by torch {found.torch}: {said or 'it says no more'}",
                  "check that nvidia-smi and torch.cuda.init() work" if sys.platform != "darwin" else "")


Rule = Callable[[Detection, Machine], Reason | None]
RULES: tuple[Rule, ...] = (_no_torch, _apple, _built_without, _no_sign, _driver_broken, _hidden, _driver_too_old, _no_kernels,
                           _in_use, _sliced, _not_allowed, _else)


def _named(machine: Machine) -> str:
    return machine.cards[0] if machine.cards else "An NVIDIA GPU"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
