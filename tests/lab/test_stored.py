"""Results as files: what those of the package show, and that a file that is none is refused in a sentence."""

from __future__ import annotations

import json

import pytest

from sqrtscale.cli import main
from sqrtscale.lab import RIGHT, weak_error
from sqrtscale.lab.stored import FOLDER, PICTURES, Stored, as_text, read, shipped, shown_steps
from sqrtscale.rules import FieldError

MEASURED = {"algorithm": "rmsprop", "betas": (0.9,), "chains": 512}


@pytest.fixture(scope="module")
def outcome():
    return weak_error(**MEASURED)


def test_the_results_of_the_package_show_slope_1_where_it_is_predicted_and_wrong_rules_refuted():
    results = {(made.algorithm, made.problem, made.noise, made.convention, made.rule, made.betas): each
               for each in shipped() for made in [each.outcome.experiment]}
    assert len(results) == len(list(FOLDER.glob("*.json"))) >= 20
    assert all(each.version and each.date for each in results.values())
    slope = results["adam", "quadratic", "gauss", "torch", RIGHT, (0.98, 0.98)].outcome.slopes["E x"]
    assert slope is not None and slope.low < 1 < slope.high and slope.high - slope.low < 0.2
    wrong = [each.outcome for (_, _, law, _, rule, betas), each in results.items()
             if rule != RIGHT and law == "gauss" and len(set(betas)) == 1]
    assert len(wrong) == 9 and all(each.intercepts["E x"].refuted for each in wrong)


def test_a_file_of_the_package_holds_the_numbers_and_of_the_pictures_what_is_drawn(outcome):
    text = as_text(Stored(outcome, "1.2.3", "2026-01-02"), pictures=True)
    again = read(text)
    assert (again.version, again.date, again.outcome.experiment) == ("1.2.3", "2026-01-02", outcome.experiment)
    for level, same in zip(outcome.levels, again.outcome.levels, strict=True):
        assert same.h == level.h and same.error == pytest.approx(level.error, rel=1e-5)
    assert {course.h for course in again.outcome.courses} == {None, *shown_steps(outcome)}
    assert {(path.number, path.h) for path in again.outcome.paths} == {(0, h) for h in (None, *shown_steps(outcome))}
    largest = outcome.experiment.steps[-1]
    assert shown_steps(outcome) == (largest, largest / 4, largest / 16)  # eta, eta/2, eta/4, for h is eta^2


def test_what_the_command_line_writes_can_be_read_without_pictures(outcome):
    content = {name: value for name, value in outcome.as_dict().items() if name not in PICTURES}
    assert read(json.dumps(content)).outcome.levels == outcome.levels and read(json.dumps(content)).outcome.courses == ()


def test_the_file_that_the_page_asks_for_is_what_the_command_line_writes(capsys):
    assert main(["lab", "--algorithm", "rmsprop", "--betas", "0.9", "--chains", "512", "--json", "--pictures"]) == 0
    outcome = read(capsys.readouterr().out).outcome
    assert outcome == weak_error(**MEASURED)


@pytest.mark.parametrize("broken", [
    "", "[]", "null", "{", "3", '{"algorithm": "adam"}',
    lambda content: content.pop("levels"),
    lambda content: content.update(algorithm="sgd"),
    lambda content: content.update(betas=[2.0]),
    lambda content: content["levels"][0].update(error="much"),
    lambda content: content["levels"][0].update(error=float("nan")),
    lambda content: content.update(levels=content["levels"][1:]),
    lambda content: content["courses"][0].update(values=[1.0]),
    lambda content: content["quantiles"][0].update(probabilities=[0.5]),
    lambda content: content.update(paths=content["paths"][1:]),
    lambda content: content.update(slopes={}),
])
def test_what_is_no_result_is_refused_in_one_sentence(outcome, broken):
    text = broken
    if not isinstance(broken, str):
        content = json.loads(json.dumps(outcome.as_dict()))
        broken(content)
        text = json.dumps(content)
    with pytest.raises(FieldError, match="is no result of the lab: give what sqrtscale lab --json wrote"):
        read(text)
