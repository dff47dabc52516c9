"""Who starts a calibration's processes, and knows of them: this machine, or whatever else has a launcher."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from ..home import calibration_folder, owner_only, private_folder
from ..processes import command, environment
from ..store import Underway
from ..store.connect import database_url
from . import locks, process
from .submitter import environment_of, submitter

Life = Literal["alive", "gone", "unknown"]  # unknown: it is another machine's


class Launcher(Protocol):
    """Starts supervisors, which outlive who starts them, and says of each whether it lives."""

    def start(self, id: str) -> subprocess.Popen[bytes]:
        """Start the supervisor of a calibration; it steps back where another has it, or its devices are taken."""

    def look(self, row: Underway) -> Life:
        """Whether the calibration has a supervisor that lives."""

    def end(self, row: Underway) -> None:
        """End every process that it may still have, by force."""

    def reason(self, row: Underway) -> tuple[str, str]:
        """The state and the reason of one that has no supervisor any more."""


class LocalLauncher:
    """Processes of this machine, each supervisor with its child in a session of its own."""

    def start(self, id: str) -> subprocess.Popen[bytes]:
        """Start the supervisor, detached: it survives this process and its terminal."""
        return start_supervisor(id)

    def look(self, row: Underway) -> Life:
        """By its identity, or before that is known by its lock."""
        if not is_of_this_machine(row):
            return "unknown"
        if identity_of(row).alive or (row.pid is None and locks.held(locks.alive_lock(row.id))):
            return "alive"
        # Another name in the same boot may be a container's, whose processes are not seen from here.
        return "gone" if row.host in ("", process.host()) or row.boot_id != process.boot_id() else "unknown"

    def end(self, row: Underway) -> None:
        """Kill its whole session, unless that is somebody else's by now."""
        identity = identity_of(row)
        ours = row.pid is not None and process.of_this_boot(row.boot_id) and not identity.pid_taken
        if ours and (identity.alive or locks.held(locks.alive_lock(row.id))):
            process.kill_session(identity.pid)

    def reason(self, row: Underway) -> tuple[str, str]:
        """A restart of the machine interrupts; everything else is not to be explained."""
        if not process.of_this_boot(row.boot_id):
            return "INTERRUPTED", "the machine was restarted"
        return "LOST", "its supervisor process ended unexpectedly"


def is_of_this_machine(row: Underway) -> bool:
    """Whether it was submitted on this machine: another one may share the database.

    SQLite's is on this machine alone, whatever that was called when it was submitted.
    """
    return row.host in ("", process.host()) or database_url().get_backend_name() == "sqlite"


def is_of_this_home(row: Underway) -> bool:
    """Whether it was submitted here: another home, or another machine, may share the database."""
    return is_of_this_machine(row) and calibration_folder(row.id).is_dir()


def identity_of(row: Underway) -> process.Identity:
    """The supervisor of that calibration; of none the pid is 0."""
    return process.Identity(row.host, row.boot_id, row.pid or 0, row.pid_started)


def start_supervisor(id: str) -> subprocess.Popen[bytes]:
    """Start the supervisor of a calibration, detached, as who has submitted it would."""
    log = private_folder(calibration_folder(id)) / "supervisor.log"
    arguments = command("runner", id)
    if known := submitter(id):
        return detached([known.interpreter, *arguments[1:]], log, env=environment_of(known), folder=known.folder)
    return detached(arguments, log)


def detached(arguments: Sequence[str], log: Path, locks_of_it: Sequence[int] = (), env: Mapping[str, str] | None = None,
             folder: str | None = None) -> subprocess.Popen[bytes]:
    """A process in a session of its own, which writes to that log and inherits those locks; env, folder: else this process's.

    It keeps the working folder, because a home or a database may be named relative to it.
    """
    with open(log, "ab", opener=owner_only) as output:
        started = subprocess.Popen(arguments, start_new_session=True, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, env=env or environment(), pass_fds=locks_of_it, cwd=folder)
    # Somebody must take its exit code, or it stays as a zombie while this process lives.
    threading.Thread(target=started.wait, daemon=True, name=f"end of {started.pid}").start()
    return started


__all__ = ["Launcher", "Life", "LocalLauncher", "command", "detached", "environment", "identity_of", "is_of_this_home",
           "is_of_this_machine", "start_supervisor"]
