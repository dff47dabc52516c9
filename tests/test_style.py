"""House rules that a program can check."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = [path for folder in ("sqrtscale", "pages", "tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")]


def test_ruff_is_clean():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_file_is_longer_than_400_lines():
    assert [f"{path}: {count}" for path in PYTHON if (count := len(path.read_text().splitlines())) > 400] == []


def test_no_error_is_swallowed():
    for path in PYTHON:
        lines = [line.strip() for line in path.read_text().splitlines()]
        for line, following in pairwise(lines):
            assert not (line in ("except:", "except Exception:") and following == "pass"), path
