"""CONTRIBUTING's recipes work as they are written: followed in a copy, the suites take what was added without a change."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "tests" / "recipes"
pytestmark = [pytest.mark.process, pytest.mark.training]


@pytest.fixture
def copy(tmp_path):
    """The checkout, without what was made in it."""
    for folder in ("sqrtscale", "tests", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
    for file in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def insert(path, before, line):
    """Put a line before the first one that matches."""
    text = path.read_text()
    found = re.search(before, text, re.MULTILINE)
    assert found, f"{path.name} has no {before}"
    path.write_text(f"{text[: found.start()]}{line}\n{text[found.start() :]}")


def python(folder, *arguments):
    done = subprocess.run([sys.executable, *arguments], cwd=folder, text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": str(folder), "SQRTSCALE_HOME": str(folder / "home")})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def suites(folder, name, *paths):
    """How many of those suites' tests are about what was added; all of them pass."""
    said = python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={folder / 'run'}",
                  *paths, "-k", name)
    return int(re.search(r"(\d+) passed", said)[1])


def test_a_task_is_one_file_and_its_name_in_the_catalogue(copy):
    catalogue = copy / "sqrtscale" / "tasks" / "__init__.py"
    shutil.copy(RECIPES / "tides.py", catalogue.parent)
    insert(catalogue, r"^TASKS", "from .tides import TASK as _tides  # noqa: E402")
    catalogue.write_text(catalogue.read_text().replace("for about in (", "for about in (_tides, "))
    assert suites(copy, "tides", "tests/tasks", "tests/training/test_population.py", "tests/training/test_engine.py",
                  "tests/training/test_own_tasks.py") >= 15
    assert "tides" in python(copy, "-m", "sqrtscale", "calibrate", "--help")
    said = python(copy, "-m", "sqrtscale", "calibrate", "--task", "tides", "--size", "wide", "--seeds", "3", "--samples", "640",
                  "--device", "cpu", "--wait")
    assert re.search(r"scaled .*(matches|differs|cannot tell|not a test)", said), said
    assert " m² " in said, said  # the task's own unit


STEP = '''def amsgradw(x, g, state, h, k):
    """Decay before the step, as in AdamW."""
    return amsgrad(x * (1 - h["lr"] * h["weight_decay"]), g, state, {**h, "weight_decay": 0.0}, k)


'''


def test_an_optimizer_is_a_family_and_a_file_for_its_training(copy):
    shutil.copy(RECIPES / "families" / "amsgradw.py", copy / "sqrtscale" / "rules" / "families")
    shutil.copy(RECIPES / "optimizers" / "amsgradw.py", copy / "sqrtscale" / "training" / "optimizers")
    rules = copy / "tests" / "rules"
    insert(rules / "updates.py", r"^STEPS", STEP)
    insert(rules / "updates.py", r'^    "nadam"', '    "amsgradw": amsgradw,')
    insert(rules / "test_transfer.py", r'^    "keras_adam"', '    "amsgradw": DECOUPLED,')
    insert(rules / "test_sde.py", r"^@pytest.mark.parametrize\(\"half\"", 'NOT_MOVED.add(("amsgradw", "beta2"))  # as in AMSGrad')
    assert suites(copy, "amsgradw", "tests/rules", "tests/test_arms.py", "tests/cli/test_arms_options.py",
                  *(f"tests/training/test_{name}.py" for name in ("executors", "optimizers", "optimizers_moved",
                                                                  "optimizers_calibrated"))) >= 50
    assert "amsgradw" in python(copy, "-m", "sqrtscale", "scale", "--help")
