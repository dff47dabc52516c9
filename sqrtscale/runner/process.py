"""Who is who among processes: a pid alone may be somebody else's by tomorrow."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil  # type: ignore[import-untyped]

PROC = Path("/proc")  # of Linux alone
SYSCTL = "/usr/sbin/sysctl"  # of macOS
UNKNOWN = "unknown"  # a boot of which the system does not say which it is


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
        return of_this_boot(self.boot_id) and self.pid_started != "" and started(self.pid) == self.pid_started

    @property
    def pid_taken(self) -> bool:
        """True when the pid belongs to another process by now, so that its session is not ours to end."""
        return started(self.pid) not in ("", self.pid_started)


def host() -> str:
    """The name of this machine."""
    return platform.node()


def boot_id() -> str:
    """Another text after each restart of the machine; UNKNOWN where the system does not say, and none is noticed."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        pass
    try:
        return _boot_session(SYSCTL)
    except (OSError, subprocess.SubprocessError):  # it may answer the next time
        return UNKNOWN


def of_this_boot(noted: str) -> bool:
    """Whether what was noted as the boot may be this one: where either is not known, the pid and its start must do."""
    now = boot_id()
    return noted == now or UNKNOWN in (noted, now)


@cache
def _boot_session(sysctl: str) -> str:
    """What macOS calls this boot. The time of the boot, which psutil has, moves with the clock."""
    asked = subprocess.run([sysctl, "-n", "kern.bootsessionuuid"], capture_output=True, text=True, timeout=10, check=True)
    return asked.stdout.strip() or UNKNOWN


def started(pid: int) -> str:
    """When the process of that pid started; empty when there is none (or a zombie). It changes with no clock."""
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return ""
        if psutil.LINUX:  # in clock ticks since boot, as psutil's time is reckoned from a clock that may be set
            return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
        return str(psutil.Process(pid).create_time())
    except (psutil.Error, FileNotFoundError, ProcessLookupError):
        return ""


def stopped(pid: int) -> bool:
    """Whether somebody has stopped that process (SIGSTOP), so that it does nothing until it is told to go on."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def me() -> Identity:
    """This process."""
    return here(os.getpid())


def here(pid: int) -> Identity:
    """The process of this machine that has that pid now."""
    return Identity(host(), boot_id(), pid, started(pid))


def session_members(session: int) -> list[int]:
    """Pids of all processes of a session, its leader included."""
    members = []
    for pid in psutil.pids():
        with suppress(OSError):  # it has ended meanwhile
            if os.getsid(pid) == session:
                members.append(pid)
    return members


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
