"""Everything that gets installed is pinned: what is asked for, and what that brings along."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"[A-Za-z0-9_.\-\[\]]+==[\w.+]+")


def lines(name):
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]


def test_every_line_is_a_pin():
    files = ["requirements.txt", "requirements-test.txt", "requirements-test-no-deps.txt", "constraints.txt"]
    assert [line for name in files for line in lines(name) if not PIN.fullmatch(line)] == []


def test_what_is_installed_with_them_is_pinned_as_it_is():
    done = subprocess.run([sys.executable, "scripts/lock.py", "--check"], cwd=ROOT, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), f"run python scripts/lock.py: {done.stdout}{done.stderr}"


def test_the_constraints_hold_what_nobody_asked_for_by_name():
    pinned = {line.partition("==")[0] for line in lines("constraints.txt")}
    assert {"starlette", "uvicorn", "websockets", "mako", "setuptools", "llvmlite"} <= pinned and "torch" not in pinned
