"""Which device a calibration runs on, and what else must be known to repeat it."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from ..devices import devices
from ..plan import CalibrationPlan
from ..rules import FieldError
from ..tasks import Task, task
from .executors import choose
from .executors.compiled import available
from .threads import ALL_THREADS

# To be raised when the same plan and executor would train or measure otherwise: stored runs then no longer stand for new ones.
ENGINE = 5
PACKAGES = ("sqrtscale", "torch", "numpy", "scipy", "numba", "scikit-learn", "streamlit", "pandas", "plotly", "sqlalchemy",
            "alembic")


def resolve(name: str) -> tuple[torch.device, ...]:
    """The devices that a plan's name stands for here; raises FieldError for one that is not there."""
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0  # it counts cards that no driver lets it use
    names = devices(name, there)
    known = ["cpu", *(f"cuda:{i}" for i in range(there))]
    if not set(names) <= set(known):
        raise FieldError("device", name, f"is not on this machine: give one of {', '.join(known)}")
    return tuple(map(torch.device, names))


@contextmanager
def fast_settings(about: Task) -> Iterator[None]:
    """Torch's settings of this process while it trains a task; they are given back, because others may live in it.

    Denormal numbers in second moments of silent weights would slow a CPU step several times. BLAS's matrix products are small
    and called from our own threads, so that each gets one. A GPU rounds what enters a matrix product or convolution to TF32 where
    the task allows it.
    """
    libraries: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    usual = [library.allow_tf32 for library in libraries]
    for library in libraries:
        library.allow_tf32 = about.tf32
    torch.set_flush_denormal(True)
    available()  # loads the BLAS whose threads are limited here
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        for library, before in zip(libraries, usual, strict=True):
            library.allow_tf32 = before
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
    executor = plan and {"executor": choose(task(plan.task).network(plan.size), plan.base.optimizer, chosen[0]).name}
    return (executor or {}) | {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "engine": ENGINE,
        "platform": platform.platform(),
        "host": platform.node(),
        "device": ",".join(map(str, chosen)),
        "device_name": device_name(*chosen),
        "cuda": torch.version.cuda,
        "threads": ALL_THREADS,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "git": _git(),
    }


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
