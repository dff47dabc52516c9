"""The user's file tried out by a process of its own, within limits of time and memory. This one runs nothing of it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil  # type: ignore[import-untyped]

from ..plan import trainable
from ..rules import FieldError
from ..tasks import OwnFile
from ..tasks.own import Facts, Finding, KnownConfiguration, beside, read_file, read_text
from ..tasks.own.file import check_name
from . import launch

SECONDS = 300.0
SHARE = 0.8  # of the free memory that a check may take
PATIENCE = 5.0  # seconds for what it has printed, should a process of the user's that lives on hold the pipe
KEPT = 20_000  # characters of what the user's code prints


@dataclass(frozen=True)
class Checked:
    """file: with what was found; log: the end of what the user's code printed, then their traceback if there is one."""

    file: OwnFile
    log: str


def check_file(path: Path, name: str | None = None, *, device: str = "cpu", target: int | None = None, seconds: float = SECONDS,
               memory: int | None = None, checkpoint: Path | None = None) -> Checked:
    """Try out a user's file. Raises FieldError for what is no task already as text, or a device that is not there.

    name: of the task, that of the file if left out; memory: bytes that the process may allocate; checkpoint: in place of the one
    that the file names.
    """
    path = path.absolute()
    text, name = read_file(path), check_name(path.stem if name is None else name)
    source = read_text(text, str(path))
    if checkpoint is None and source.checkpoint is not None:
        checkpoint = beside(path, source.checkpoint)
    known = _configuration(beside(path, source.config)) if source.config is not None else None
    given = {"name": name, "path": str(path), "text": text, "device": device, "target": target,
             "checkpoint": None if checkpoint is None else str(checkpoint.absolute()),
             "configuration": None if known is None else known.as_dict()}
    read, write = os.pipe()
    with os.fdopen(read) as answers:
        try:
            child = subprocess.Popen(launch.command("training.check", str(write)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, env=launch.environment(), pass_fds=(write,),
                                     start_new_session=True)
        finally:
            os.close(write)
        assert child.stdin and child.stdout
        limit = int(SHARE * psutil.virtual_memory().available) if memory is None else memory
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]  # it has ours, and may be given no more
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        if hasattr(resource, "prlimit"):  # Linux: elsewhere no process limits another one
            with suppress(ProcessLookupError):  # it has ended already
                resource.prlimit(child.pid, resource.RLIMIT_DATA, (limit, limit))
        printed = _Tail(child.stdout)
        answer = _Tail(answers, 10**7)
        with suppress(BrokenPipeError):  # it has ended already
            child.stdin.write(json.dumps(given).encode())
            child.stdin.close()
        try:
            child.wait(seconds)
            late = False
        except subprocess.TimeoutExpired:
            late = True
        finally:
            _end(child)
        for tail in (printed, answer):
            tail.thread.join(PATIENCE)
    if child.returncode == 2 and not answer.text:
        raise FieldError("device", device, "is " + (printed.text.strip().partition(" is ")[2] or "not to be used"))
    facts, findings, log = Facts(1, 1, 1), [], printed.text
    if answer.text:
        told = json.loads(answer.text)
        facts = Facts.from_dict(told["facts"])
        findings = [Finding(finding["level"], finding["text"]) for finding in told["findings"]]
        log += told["log"]
    else:
        findings = [Finding("bad", _why(child.returncode, late, seconds, limit))]
    return Checked(OwnFile(name, str(path), text, facts, tuple(findings)), log)


def _configuration(path: Path) -> KnownConfiguration:
    """What the configuration file says that a task names, for torch's optimizers; raises FieldError."""
    from .. import formats

    try:
        imported = formats.read(path.read_bytes(), path.name)
    except OSError as error:
        raise FieldError("CONFIG", str(path), f"cannot be read ({error.strerror}): give a file of docs/formats.md") from error
    except FieldError as error:
        raise FieldError("CONFIG", str(path), f"cannot be used: {error}") from error
    batch = imported.batch.corrected({}).total
    if batch is None and imported.batched_rate is not None:
        raise FieldError("CONFIG", str(path), "has a learning rate that depends on a batch, which it does not say: write both")
    config = trainable(imported.config({"batch_size": batch or 1}))
    if config is None:
        raise FieldError("CONFIG", str(path), f"trains by {imported.optimizer}, which no calibration does: leave it out, and "
                                              "give --optimizer and --lr")
    return KnownConfiguration(config, path.name, batch is not None)


class _Tail:
    """The end of what somebody writes, read to its end beside, so that nobody waits and memory stays small."""

    def __init__(self, source: IO[Any], most: int = KEPT):
        self.text, self.source, self.most = "", source, most
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while piece := os.read(self.source.fileno(), 65_536):
            self.text = (self.text + piece.decode("utf-8", "replace"))[-self.most :]


def _end(child: subprocess.Popen[bytes]) -> None:
    """The process and whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _why(code: int, late: bool, seconds: float, limit: int) -> str:
    if late:
        return (f"it was not done within {seconds:.0f} s and was ended: look for a loop without end or a download at import, or "
                "load less in data(split)")
    if code == -signal.SIGKILL:
        return f"its process was ended by the system, as for lack of memory: it may take {limit / 1e9:.2g} GB"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}: look for native code that fails"
    return f"its process ended with exit code {code} before the check was done: remove os._exit and what ends processes"
