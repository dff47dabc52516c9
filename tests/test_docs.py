"""What the documentation shows is what the program does."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sqrtscale.cli import build_parser
from sqrtscale.rules import FAMILIES, RUN_FIELDS, UNDERIVED, TrainingConfig, scale
from sqrtscale.schedules import KINDS, schedule

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CLI, THEORY, JUDGE = ((ROOT / "docs" / name).read_text() for name in ("cli.md", "theory.md", "judge.md"))


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(line, folder=ROOT):
    arguments = shlex.split(line.removeprefix("sqrtscale"))
    return subprocess.run([sys.executable, "-m", "sqrtscale", *arguments], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_python_of_the_readme_runs():
    (code,) = blocks(README, "python")
    exec(code, {})


@pytest.mark.parametrize("line", re.findall(r"^sqrtscale scale .*$", README, re.MULTILINE))
def test_scale_examples_of_the_readme_run(line, tmp_path):
    (tmp_path / "training_args.json").write_text('{"optim": "adamw_torch", "learning_rate": 2e-4, "max_steps": 1000, '
                                                 '"per_device_train_batch_size": 128}')
    done = run(line, tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_other_example_is_understood():
    lines = [line for text in (README, CLI, JUDGE) for block in blocks(text, "bash") for line in block.splitlines()
             if line.startswith("sqrtscale")]
    assert len(lines) >= 5
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("block", blocks(CLI, "console"))
def test_console_examples_print_what_the_page_shows(block, tmp_path):
    (course,) = blocks(CLI, "csv")
    (tmp_path / "noise.csv").write_text(course)
    command, _, shown = block.partition("\n")
    assert run(command.removeprefix("$ "), tmp_path).stdout == shown


def test_every_command_has_its_line():
    found = set(re.findall(r"^\| `sqrtscale ([a-z -]+?)(?: ID)?` \|", CLI, re.MULTILINE))
    parser = build_parser()
    commands = set()
    for name, one in parser._subparsers._group_actions[0].choices.items():
        nested = one._subparsers
        actions = nested._group_actions[0] if nested else None
        commands |= {f"{name} {action}" for action in actions.choices} if actions else set()
        commands |= {name} if actions is None or not actions.required else set()
    assert found == commands


A_RUN = {"total_steps": 10_000, "warmup_steps": 200, "decay_steps": 1_000, "schedule": "cosine", "warmup_fraction": 0.1,
         "milestones": (400, 800), "milestone_factor": 0.1, "gamma_per_step": 0.999, "min_lr": 1e-5, "eval_interval": 40,
         "log_interval": 40, "checkpoint_interval": 40, "ema_decay": 0.999, "clip_norm": 1.0, "dropout": 0.1,
         "label_smoothing": 0.1, "loss_reduction": "mean"}


def rules_of_the_program():
    """Field -> label of each family that has it -> (formula, how sure)."""
    assert set(A_RUN) == set(RUN_FIELDS)
    found = {}
    for name, kin in FAMILIES.items():
        for row in scale(TrainingConfig(name, 256, run=A_RUN), 1024, "linear").fields:
            found.setdefault(row.name, {})[kin.label] = (row.formula, row.status)
    return found


def rules_of_the_page():
    """The same from the tables of docs/theory.md, where "all" and "the others" stand for families that are not named."""
    program, found = rules_of_the_program(), {}
    lines = [line for line in THEORY.splitlines() if line.startswith("| ") and not line.startswith("| field |")]
    rows = [[cell.strip().strip("`") for cell in line.strip("| ").split(" | ")] for line in lines]
    for field, formula, optimizers, status in rows:
        named = {label for other, _, labels, _ in rows if other == field for label in labels.split("; ")}
        rest = set(program.get(field, ())) - named
        for label in rest if optimizers in ("all", "the others") else optimizers.split("; "):
            assert label not in found.setdefault(field, {}), f"{field} of {label} stands in two rows"
            found[field][label] = (formula, status)
    return found


def test_the_tables_of_the_page_are_the_rules_of_the_program():
    assert rules_of_the_page() == rules_of_the_program()


def test_every_kind_of_schedule_has_its_line_and_every_example_of_one_is_read():
    rows = [line.split(" | ")[0] for line in CLI.splitlines() if re.match(rf"\| `({'|'.join(KINDS)})`", line)]
    texts = [re.findall(r"`(.+?)`", row) for row in rows]
    assert [row[0] for row in texts] == list(KINDS)
    assert all(str(schedule(text)) == text for row in texts for text in row)


def test_the_page_names_every_optimizer_without_a_rule():
    (sentence,) = re.findall(r"\*\*Without a rule\.\*\* (.*?):", THEORY, re.DOTALL)
    assert " ".join(sentence.split()).split(", ") == [about.label for about in UNDERIVED.values()]


@pytest.mark.parametrize("text", [README, THEORY, CLI, JUDGE, (ROOT / "CONTRIBUTING.md").read_text()])
def test_files_that_are_named_exist(text):
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / link).exists() or (ROOT / "docs" / link).exists(), link


@pytest.mark.parametrize("script", ["docs/formats_page.py", "docs/faults_page.py"])
def test_a_page_is_what_the_catalogue_or_the_markers_of_the_tests_make(script):
    done = subprocess.run([sys.executable, script, "--check"], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, f"run: python {script}"


def test_the_walk_names_files_that_are_there_each_once_in_fifteen_steps():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    walk = text.partition("## A walk from a button to a stored point\n")[2].partition("\n## ")[0]
    files = re.findall(r"`([\w/]+\.py)`", walk)
    assert re.findall(r"^\d+", walk, re.MULTILINE) == [str(i) for i in range(1, 16)]
    assert files[0] == "pages/calibrate.py" and "sqrtscale/store/points.py" in files and len(files) == len(set(files)) > 15
    assert all((ROOT / file).is_file() for file in files)
