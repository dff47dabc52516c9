"""Checkpoints read and moved by a process of their own: this one never loads torch, and no file can exhaust it."""

from __future__ import annotations

import json
import signal
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..rules import FieldError
from ..transfer.checkpoint.result import Transferred, partial_file
from . import launch

SECONDS, BYTES_PER_SECOND = 120, 5 * 10**6  # a busy machine loads torch in half a minute; a disk may be far away
REMEDY = "give the file with optimizer.state_dict() alone (optimizer.pt)"


def read_checkpoint(path: Path, timeout: float | None = None) -> str:
    """The family and the parameter groups of a checkpoint's optimizer as JSON, within ``timeout`` seconds.

    Raises FieldError for a file without an optimizer, or with several that differ.
    """
    try:
        optimizers = _in_a_process(path, [], timeout)["optimizers"]
    except FieldError as error:
        if error.field != "checkpoint":
            raise
        raise FieldError("file", path.name, error.allowed) from error  # an uploaded one lies in a folder of ours
    first, *others = [{name: optimizer[name] for name in ("optimizer", "param_groups")} for optimizer in optimizers]
    if any(other != first for other in others):
        places = ", ".join(optimizer["where"] for optimizer in optimizers)
        raise FieldError("file", path.name, f"holds several optimizers that differ ({places[:80]}): give the file of one")
    return json.dumps(first)


def transfer_checkpoint(source: Path, out: Path, kappa: float | Fraction | tuple[int, int], optimizer: str | None = None,
                        forms: tuple[str, str] = ("linear", "kept"), noise_scale: float | None = None,
                        timeout: float | None = None) -> Transferred:
    """Write ``source``, moved to a batch ``kappa`` times larger, to the new file ``out``.

    kappa: also as the old and the new batch; forms: of decays and of momenta; noise_scale: for the noise-aware transfer.
    Raises FieldError where :func:`sqrtscale.transfer.checkpoint.transfer_file.transfer_checkpoint` does, RuntimeError where the
    file cannot be written, and leaves nothing behind when it is interrupted or takes more than ``timeout`` seconds (by default
    a time that follows from the file's size).
    """
    change = "{}:{}".format(*kappa) if isinstance(kappa, tuple) else kappa
    options = {"--out": out, "--kappa": change, "--optimizer": optimizer, "--decay-form": forms[0], "--momentum-form": forms[1],
               "--noise-scale": noise_scale}
    arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
    return Transferred.from_dict(_in_a_process(source, arguments, timeout, out))


def _in_a_process(path: Path, options: list[str], timeout: float | None, out: Path | None = None) -> dict[str, Any]:
    """What the process prints. Its error is raised here; whatever ends it, its unfinished file goes with it."""
    seconds = timeout or SECONDS + (path.stat().st_size if path.is_file() else 0) / BYTES_PER_SECOND
    command = launch.command("transfer.checkpoint", *options, "--", str(path))
    with subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=launch.environment()) as child:
        try:
            stdout, stderr = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise FieldError("checkpoint", str(path), f"was not done within {seconds:.0f} s: {REMEDY}") from error
        finally:
            child.kill()
            child.wait()
            if out is not None:
                partial_file(out, child.pid).unlink(missing_ok=True)
    if child.returncode == 2:
        raise FieldError(**json.loads(stdout))
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise FieldError("checkpoint", str(path), f"could not be read: its process was ended by the system ({name}), as for a "
                         f"file that needs far more memory or time than a checkpoint of its size: {REMEDY}")
    if child.returncode:
        raise RuntimeError((stderr.strip().splitlines() or ["the checkpoint could not be read"])[-1])
    answer: dict[str, Any] = json.loads(stdout)
    return answer
