"""``sqrtscale lab``: its JSON, its text, and one line for what it cannot do."""

import json
import shlex
from pathlib import Path

import pytest

from sqrtscale import lab
from sqrtscale.cli import build_parser, main
from sqrtscale.cli import lab as command

QUICK = ["lab", "--algorithm", "rmsprop", "--chains", "512"]


def test_json_has_levels_slopes_and_intercepts_and_progress_goes_to_standard_error(capsys):
    assert main([*QUICK, "--noise", "student:3", "--betas", "0.99", "--seed", "2", "--json"]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert [answer[name] for name in ("algorithm", "problem", "noise", "seed", "predicted_slope")] == \
        ["rmsprop", "quadratic", "student:3", 2, 0.5]
    assert {"one_minus_beta2", "test_function", "error", "standard_error"} <= set(answer["levels"][0])
    assert set(answer["slopes"]) == set(answer["intercepts"]) == {"E x", "E x^2", "E 1/(1+x^2)", "E loss"}
    assert all(of is None or {"slope", "low", "high"} == set(of) for of in answer["slopes"].values())
    assert "100%" in said.err and "courses" not in answer


def test_same_seed_same_answer_and_another_seed_another(capsys):
    answers = []
    for seed in ("1", "1", "2"):
        assert main([*QUICK, "--seed", seed, "--json"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] != answers[2]


def test_with_few_chains_it_says_that_nothing_can_be_measured(capsys):
    assert main(QUICK) == 0
    said = capsys.readouterr().out
    assert "not measurable with 512 chains" in said and "1 - beta2" in said and "At 4 times the base batch" in said
    assert "it proves nothing" in said


@pytest.mark.parametrize("arguments, field", [
    (["--algorithm", "lion"], "algorithm"), (["--noise", "student:1"], "noise"), (["--betas", "1.2"], "betas"),
    (["--betas", "x", "0.9"], "betas"), (["--seconds", "0"], "seconds"), (["--seconds", "nan"], "seconds"),
    (["--kappa", "x"], "kappa"), (["--chains", "1e99"], "chains"), (["--seed", "0.5"], "seed"), (["--rule", "cubic"], "rule"),
    (["--convention", ""], "convention")])
def test_bad_input_is_one_line_and_exit_code_2(capsys, arguments, field):
    assert main(["lab", *arguments]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and said.err.startswith(field)


def test_help_names_what_there_is():
    def names(text):
        return {name.partition(":")[0] for name in text.split(", ")}

    assert names(command.ALGORITHMS) == set(lab.ALGORITHMS)
    assert names(command.PROBLEMS) == set(lab.PROBLEMS)
    assert names(command.LAWS) == set(lab.LAWS)
    assert all(rule in command.RULES for rule in lab.RULES if rule != lab.RIGHT)


def test_examples_of_the_page_are_understood():
    text = (Path(__file__).resolve().parents[2] / "docs" / "lab.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("sqrtscale lab ")]
    assert len(lines) == 2
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])
