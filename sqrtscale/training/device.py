"""Which device a calibration runs on, and what else must be known to repeat it."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from ..devices import Card, best_first, devices
from ..plan import CalibrationPlan
from ..rules import FieldError
from ..tasks import Task, task
from .executors import choose, place_of_one
from .executors.compiled import available
from .gpus import cards, driver_cuda
from .threads import ALL_THREADS

# To be raised when the same plan and executor would train or measure otherwise: stored runs then no longer stand for new ones.
ENGINE = 6
PACKAGES = ("sqrtscale", "torch", "numpy", "scipy", "numba", "scikit-learn", "streamlit", "pandas", "plotly", "sqlalchemy",
            "alembic")


def resolve(name: str) -> tuple[torch.device, ...]:
    """The devices that a plan's name stands for here; raises FieldError for one that is not there."""
    if name in ("auto", "all"):
        return tuple(map(torch.device, devices(name, best_first(cards()))))
    names = devices(name, ())
    asked = [each for each in names if each != "cpu"]
    there = {f"cuda:{card.index}": card for card in cards([torch.device(each).index or 0 for each in asked])} if asked else {}
    for each in asked:
        if each not in there or there[each].error:
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0  # it counts cards that no driver lets it use
            known = ["cpu", *(f"cuda:{i}" for i in range(count))]
            wrong = f"cannot be used, {there[each].error}" if each in there else "is not on this machine"
            raise FieldError("device", name, f"{wrong}: give one of {', '.join(other for other in known if other not in there)}")
    return tuple(map(torch.device, names))


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Inside, a GPU rounds what enters a matrix product or convolution to TF32, or does not."""
    libraries: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    usual = [library.allow_tf32 for library in libraries]
    for library in libraries:
        library.allow_tf32 = allowed
    try:
        yield
    finally:
        for library, before in zip(libraries, usual, strict=True):
            library.allow_tf32 = before


@contextmanager
def fast_settings(about: Task, on_cpu: bool = True) -> Iterator[None]:
    """Torch's settings of this process while it trains a task; they are given back, because others may live in it.

    on_cpu: whether any model trains on the CPU; else what that takes is not loaded, which would be seconds.

    Denormal numbers in second moments of silent weights would slow a CPU step several times. BLAS's matrix products are small
    and called from our own threads, so that each gets one. A GPU rounds what enters a matrix product or convolution to TF32 where
    the task allows it.
    """
    torch.set_flush_denormal(True)
    if on_cpu:
        available()  # loads the BLAS whose threads are limited here
    try:
        with tf32(about.tf32), threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(ALL_THREADS)


def device_name(*devices: torch.device) -> str:
    """The device as its maker calls it, for example ``NVIDIA H200`` or the processor's model name; of several every kind once."""
    if len(devices) > 1:
        return ", ".join(sorted(set(map(device_name, devices))))
    (device,) = devices
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def environment(device: str, plan: CalibrationPlan | None = None) -> dict[str, Any]:
    """Everything beside the plan that a result may depend on, as plain JSON types; with the plan also its runs' executor."""
    chosen = resolve(device)
    return ({"executor": _executor(plan, chosen[0])} if plan else {}) | {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "engine": ENGINE,
        "platform": platform.platform(),
        "host": platform.node(),
        "device": ",".join(map(str, chosen)),
        "device_name": device_name(*chosen),
        "cuda": torch.version.cuda,
        "tf32": task(plan.task).tf32 if plan and chosen[0].type == "cuda" else None,
        "gpus": [{name: value for name, value in asdict(card).items() if name != "free"} for card in _cards(chosen)],
        "driver_cuda": driver_cuda(),
        "threads": ALL_THREADS,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "git": _git(),
    }


def _executor(plan: CalibrationPlan, device: torch.device) -> str:
    """By which executor the plan's runs are trained, and their warm start where that is another one."""
    network, optimizer = task(plan.task).network(plan.size), plan.base.optimizer
    usual = choose(network, optimizer, device).name
    start = choose(network, optimizer, warm_place(plan, device)).name
    return usual if start == usual else f"{start} warm start, {usual}"


def warm_place(plan: CalibrationPlan, device: torch.device) -> torch.device:
    """Where the warm start of a plan for this device is trained."""
    if plan.start != "warm":
        return device
    return place_of_one(task(plan.task).network(plan.size), plan.base.optimizer, plan.base.batch_size, device)


def _cards(chosen: Sequence[torch.device]) -> Sequence[Card]:
    indices = [device.index or 0 for device in chosen if device.type == "cuda"]
    return cards(indices) if indices else ()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit of the checkout that this package lies in, and whether files differ from it; None outside of one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):  # no git program, or a hanging file system
        return None
    if commit.returncode:
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(changed.stdout.strip())}
