"""Who is who among processes: a pid alone may be somebody else's by tomorrow."""

from __future__ import annotations

import os
import platform
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """A process beyond doubt: host, boot of that host, pid, and when the pid's process started (clock ticks)."""

    host: str
    boot_id: str
    pid: int
    pid_started: str

    @property
    def alive(self) -> bool:
        """True while that very process runs; meaningful on its own host only."""
        return self.boot_id == boot_id() and self.pid_started != "" and started(self.pid) == self.pid_started

    @property
    def pid_taken(self) -> bool:
        """True when the pid belongs to another process by now, so that its session is not ours to end."""
        return started(self.pid) not in ("", self.pid_started)


def host() -> str:
    """The name of this machine."""
    return platform.node()


def boot_id() -> str:
    """Another text after each restart of the machine."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return "unknown"


def started(pid: int) -> str:
    """When the process of that pid started, in clock ticks since boot; empty when there is none (or a zombie)."""
    state, _, start = _stat(pid)
    return "" if state == "Z" else start


def me() -> Identity:
    """This process."""
    return Identity(host(), boot_id(), os.getpid(), started(os.getpid()))


def session_members(session: int) -> list[int]:
    """Pids of all processes of a session, its leader included."""
    return [pid for entry in PROC.iterdir() if entry.name.isdecimal()
            for pid in [int(entry.name)] if _stat(pid)[1] == session]


def kill_session(session: int) -> list[int]:
    """End every process of a session at once; returns their pids."""
    killed = []
    for pid in session_members(session):
        try:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        except ProcessLookupError:  # it ended by itself in this moment
            continue
    return killed


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed for lack of memory since boot; 0 where it does not say."""
    try:
        lines = (PROC / "vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _stat(pid: int) -> tuple[str, int, str]:
    """State, session and start time of a process; empty state and -1 when there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", -1, ""
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return fields[0], int(fields[3]), fields[19]
