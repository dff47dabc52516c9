"""Everything that one wants to know of a GPU, within minutes, the most important first: ``benchmarks/on_gpu.sh`` runs it.

Every part has a process and a time limit of its own, and what it printed is written at once: a part that fails or hangs costs its
own figures alone. Without a GPU the same parts run in a reduced form, which shows that they work and measures nothing.
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sqrtscale.gpu import detect
from sqrtscale.gpu.diagnosis import Diagnosis
from sqrtscale.gpu.reasons import look
from sqrtscale.gpu.words import facts

HERE = Path(__file__).parent
PARTS = HERE / "gpu_parts.py"


@dataclass(frozen=True)
class Part:
    """A heading, the arguments of Python, and seconds that it may take; fenced: its output is no Markdown."""

    title: str
    command: tuple[str, ...]
    seconds: float
    fenced: bool = False


def parts(device: str) -> list[Part]:
    """In full on a GPU, reduced on a CPU. What was never measured comes before what takes longest and was."""
    full = device != "cpu"
    own = [str(PARTS), "--device", device, *([] if full else ["--reduced"])]
    trainers = [str(HERE / "trainers.py"), "--device", device, "--repeat", "1", "--contestants", "plain"]
    trainers += ["tuned", "ours", "--share", "0.01"] if full else ["ours", "--share", "0.002", "--seeds", "1", "--task", "digits"]
    return [
        Part("Doctor", ("-m", "sqrtscale", "doctor", "--quick"), 60, fenced=True),
        Part("Captured against eager", (*own, "steps"), 60),
        Part("Memory, predicted and used", (*own, "memory"), 60),
        Part("Precision", (*own, "precision"), 40),
        Part("A large model against the device's ceilings", (*own, "large"), 90),
        Part("A step fused by torch.compile", (*own, "fused"), 120),
        Part("How a process with CUDA graphs ends", (str(HERE / "gpu_ending.py"), "--device", device), 30),
        Part("Default calibrations", (*own, "whole"), 90),
        Part("Against a plain and a hand-tuned loop", tuple(trainers), 150),
    ]


def head(device: str) -> str:
    """Device, driver, torch and date."""
    detection = detect(anew=True)
    known = "\n".join(f"- {name}: {value}" for name, value in facts(Diagnosis("cpu", "", detection=detection, machine=look())))
    what = f"# What {device} does" if device != "cpu" else "# The reduced form, on a CPU: it measures nothing"
    return (f"{what}\n\n{datetime.date.today()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, Python "
            f"{sys.version.split()[0]}. Made by `benchmarks/on_gpu.sh`.\n\n{known}\n")


def run(part: Part, limit: float, home: str) -> str:
    """The section of a part: what it printed, and how it ended where that was too early."""
    known = os.environ | {"SQRTSCALE_HOME": home, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "PYTHONWARNINGS": "ignore"}
    began = time.monotonic()
    try:
        done = subprocess.run([sys.executable, *part.command], capture_output=True, text=True, timeout=limit, env=known)
        output, ended = done.stdout, f"exit code {done.returncode}: {done.stderr.strip()[-600:]}" if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        output = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        ended = f"not done within {limit:.0f} s"
    body = f"```\n{output.strip()}\n```" if part.fenced else output.strip()
    wrong = f"\n\n**It ended early**, {ended}" if ended else ""
    return f"\n## {part.title}\n\n{body}{wrong}\n\n({time.monotonic() - began:.0f} s)\n"


def main() -> int:
    """Exit code 1 where a part ended early."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", help="cuda:0, or cpu for the reduced form (default: the best GPU that torch can use)")
    options.add_argument("--output", type=Path, metavar="FILE.md", help="default: benchmarks/GPU.md, on a GPU")
    options.add_argument("--minutes", type=float, default=8.0)
    chosen = options.parse_args()
    end = time.monotonic() + 60 * chosen.minutes
    best = detect(anew=True).best
    device = chosen.device or (f"cuda:{best.index}" if best else "cpu")
    output = chosen.output or (HERE / "GPU.md" if device != "cpu" else None)
    early = False
    with tempfile.TemporaryDirectory() as home:
        written = [head(device)]
        for part in parts(device):
            left = end - time.monotonic()
            if left < 5:
                written.append(f"\n## {part.title}\n\nNot run: the {chosen.minutes:g} minutes were over.\n")
                early = True
            else:
                written.append(run(part, min(part.seconds, left) if device != "cpu" else left, home))
                early |= "**It ended early**" in written[-1]
            print(written[-1], flush=True)
            if output is not None:
                output.write_text("".join(written))
    return int(early)


if __name__ == "__main__":
    sys.exit(main())
