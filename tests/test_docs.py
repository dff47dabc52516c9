"""What the documentation shows is what the program does."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sqrtscale.cli import build_parser
from sqrtscale.rules import FAMILIES, TrainingConfig, scale

ROOT = Path(__file__).resolve().parents[1]
README, CLI, THEORY = ((ROOT / name).read_text() for name in ("README.md", "docs/cli.md", "docs/theory.md"))


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(line):
    arguments = shlex.split(line.removeprefix("sqrtscale"))
    return subprocess.run([sys.executable, "-m", "sqrtscale", *arguments], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL)


def test_python_of_the_readme_runs():
    (code,) = blocks(README, "python")
    exec(code, {})


@pytest.mark.parametrize("line", re.findall(r"^sqrtscale scale .*$", README, re.MULTILINE))
def test_scale_examples_of_the_readme_run(line):
    assert run(line).returncode == 0


def test_every_other_example_is_understood():
    lines = [line for text in (README, CLI) for block in blocks(text, "bash") for line in block.splitlines()
             if line.startswith("sqrtscale")]
    assert len(lines) >= 5
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])


def test_console_example_prints_what_the_page_shows():
    (block,) = blocks(CLI, "console")
    command, _, shown = block.partition("\n")
    assert run(command.removeprefix("$ ")).stdout == shown


def test_every_command_has_its_line():
    found = set(re.findall(r"^\| `sqrtscale ([a-z -]+?)(?: ID)?` \|", CLI, re.MULTILINE))
    parser = build_parser()
    commands = set()
    for name, one in parser._subparsers._group_actions[0].choices.items():
        nested = one._subparsers
        commands |= {f"{name} {action}" for action in nested._group_actions[0].choices} if nested else {name}
    assert found == commands


def rule_rows():
    """(field, formula of each family or "", status), from the program."""
    rows, families = {}, ("adam", "adamw", "rmsprop")
    for family in families:
        for row in scale(TrainingConfig(family, 256, {}, 100_000, 2_000), 1024).fields:
            rows.setdefault(row.name, {})[family] = row
    for name, found in rows.items():
        (status,) = {row.status for row in found.values()}
        yield name, [found[family].formula if family in found else "" for family in families], status


def test_rule_table_is_the_rule():
    table = [[cell.strip().strip("`") for cell in line.strip("|").split("|")]
             for line in THEORY.splitlines() if line.startswith("|")][2:]
    shown = {name: ([cells[0] if cell == "the same" else cell for cell in cells], status)
             for name, *cells, status in table}
    assert shown == {name: (formulas, status) for name, formulas, status in rule_rows()}


def test_rule_table_has_every_family():
    head = next(line for line in THEORY.splitlines() if line.startswith("| field |"))
    assert head.strip("| ").split(" | ")[1:-1] == [family.label for family in FAMILIES.values()]


@pytest.mark.parametrize("text", [README, THEORY, CLI, (ROOT / "CONTRIBUTING.md").read_text()])
def test_files_that_are_named_exist(text):
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / link).exists() or (ROOT / "docs" / link).exists(), link
