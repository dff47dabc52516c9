"""The tutorial on judging, carried out: its own commands train, scale and judge, and say what the page promises."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "judge_tutorial.md").read_text()
pytestmark = [pytest.mark.process, pytest.mark.training]
NAMES = 'python() { "$PYTHON" "$@"; }; sqrtscale() { "$PYTHON" -m sqrtscale "$@"; }; '


@pytest.fixture
def folder(tmp_path):
    """The tutorial's files, where its commands are given."""
    return Path(shutil.copytree(DOCS / "judge_tutorial", tmp_path / "tutorial", ignore=shutil.ignore_patterns("__pycache__")))


def commands(section):
    """(command, exit code that the page names for it, else 0) of every line in that section's blocks."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    blocks = "".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", "")
    parts = [line.partition("  # exit code ") for line in blocks.splitlines()]
    return [(command, int(code or 0)) for command, _, code in parts]


def carry_out(folder, command):
    return subprocess.run(["bash", "-c", NAMES + command], cwd=folder, text=True, capture_output=True,
                          env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(DOCS.parent), "OMP_NUM_THREADS": "1"})


def follow(folder, section):
    """What judge says in that section, command by command, once everything has ended as the page says."""
    said = []
    for command, code in commands(section):
        done = carry_out(folder, command + (" --json" if command.startswith("sqrtscale judge") else ""))
        assert done.returncode == code, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        if command.startswith("sqrtscale judge"):
            said.append(json.loads(done.stdout))
    return said


def outcomes(said):
    return {arm: verdict["outcome"] for arm, verdict in said["verdicts"].items()}


BOTH = {"scaled": "matches", "linear": "differs"}


def check_judged(said, paired):
    """The rule matches and linear lr does not, by a margin; the meter's files were read with the curves."""
    margin, verdicts = said["margin"], said["verdicts"]
    assert outcomes(said) == BOTH and said["paired"] is paired
    assert verdicts["scaled"]["seeds"] == verdicts["linear"]["seeds"] == 3
    assert -margin < verdicts["scaled"]["low"] < verdicts["scaled"]["high"] < margin < verdicts["linear"]["low"]
    assert said["regime"] == "noise" and said["noise_scale"]["low"] > 64


def test_by_hugging_faces_trainer(folder):
    rule, linear, blind, chosen = follow(folder, "With Hugging Face's Trainer")
    check_judged(rule, paired=True)
    assert rule["metric"] == "eval_loss" and outcomes(linear) == {"mine": "differs"}
    assert blind["metric"] == "loss" and blind["margin"] > chosen["margin"] and blind["verdicts"]["linear"]["low"] > 0
    assert outcomes(chosen) == BOTH and chosen["margin"] == 0.0125
    history = json.loads((folder / "hf/scaled-3/trainer_state.json").read_text())
    assert history["global_step"] == 100 and history["train_batch_size"] == 32
    noise = (folder / "noise.jsonl").read_text().splitlines()
    assert len(noise) == 3 * 800 and json.loads(noise[-1])["samples"] == 6400 - 8


def test_by_lightning(folder):
    rule, linear = follow(folder, "With Lightning")
    check_judged(rule, paired=False)
    assert rule["metric"] == "val_loss" and outcomes(linear) == {"mine": "differs"}
    base, scaled = ((folder / f"pl/{arm}-1/metrics.csv").read_text().splitlines() for arm in ("base", "scaled"))
    assert len(base) == len(scaled) == 1 + 25


def test_the_page_links_to_what_is_there():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (DOCS / link).exists(), link
    for file in re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)[2:]:
        assert all((DOCS / "judge_tutorial" / name).is_file() for name in re.findall(r"`(.+?)`", file))
