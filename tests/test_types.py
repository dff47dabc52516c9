"""Types are held: mypy, by the settings in pyproject.toml, finds nothing in the whole package."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = [ROOT / "app.py", *(path for folder in ("sqrtscale", "pages") for path in (ROOT / folder).rglob("*.py"))]


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mypy", "--no-pretty", "--no-color-output", *arguments], cwd=ROOT,
                          capture_output=True, text=True)


def test_mypy_finds_nothing():
    done = mypy()
    if done.returncode:
        pytest.fail(f"python -m mypy:\n{done.stdout}{done.stderr}", pytrace=False)
    assert done.stdout == f"Success: no issues found in {len(PYTHON)} source files\n"  # no file is left out


def test_a_wrong_type_is_an_error(tmp_path):
    (tmp_path / "wrong.py").write_text("from sqrtscale.store import Store\nStore.open(0).rename(0, 'a name')\n")
    errors = [line for line in mypy(str(tmp_path / "wrong.py")).stdout.splitlines() if "wrong.py:2: error: " in line]
    assert len(errors) == 2 and 'Argument 1 to "open"' in errors[0] and 'Argument 1 to "rename"' in errors[1]
