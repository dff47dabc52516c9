"""Processes of our own: the same interpreter, this package, wherever they are started from."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

# Set where the user has not. The number of a GPU is then the one that its driver's tools show.
USUAL = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a module of ours. -P: a file of the working folder must not pass for a library."""
    return [sys.executable, "-u", "-P", "-m", f"sqrtscale.{module}", *arguments]


def environment() -> dict[str, str]:
    """The environment of a process of ours: this package is importable wherever its working folder is."""
    package_parent = str(Path(__file__).resolve().parents[1])
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    paths = [package_parent, *map(os.path.abspath, given)]
    return USUAL | os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def leave(code: int) -> NoReturn:
    """End this process, whose work is done and written, with an exit code.

    At once where a GPU was used: with CUDA graphs torch 2.11 dies of a segmentation fault while Python clears up (H200, driver
    580.159). Also where threads of somebody else's code live on, which may never end.
    """
    torch = sys.modules.get("torch")
    threads = any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate())
    if threads or (torch is not None and torch.cuda.is_initialized()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
