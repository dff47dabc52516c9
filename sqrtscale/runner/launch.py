"""Starting our own processes: the same interpreter, this package, wherever they are started from."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from ..home import calibration_folder


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a module of ours. -P: a file of the working folder must not pass for a library."""
    return [sys.executable, "-u", "-P", "-m", f"sqrtscale.{module}", *arguments]


def environment() -> dict[str, str]:
    """The environment of a process of ours: this package is importable wherever its working folder is."""
    package_parent = str(Path(__file__).resolve().parents[2])
    paths = [package_parent, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def start_supervisor(id: str) -> None:
    """Start the supervisor of a calibration, detached: it survives this process and its terminal.

    It keeps the working folder, because a home or a database may be named relative to it.
    """
    folder = calibration_folder(id)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            command("runner", id), start_new_session=True, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, env=environment())
    # Somebody must take its exit code, or it stays as a zombie while this process lives.
    threading.Thread(target=supervisor.wait, daemon=True, name=f"supervisor of {id}").start()
