"""A result of the lab as a page: its numbers are those of the result, and its command measures them again."""

from __future__ import annotations

import shlex
from typing import Any

from sqrtscale.cli import build_parser
from sqrtscale.lab import experiment
from sqrtscale.lab.command import command
from sqrtscale.lab.experiment import Settings
from sqrtscale.lab.stored import shipped
from sqrtscale.report import html, markdown
from sqrtscale.report.lab import lab_report


def test_the_command_of_every_stored_result_measures_that_experiment():
    parser = build_parser()
    for made in (stored.outcome.experiment for stored in shipped()):
        options = parser.parse_args(shlex.split(command(made))[1:])
        given: dict[str, Any] = {name: getattr(options, name) for name in Settings.__annotations__}
        assert experiment(**{name: value for name, value in given.items() if value is not None}) == made


def test_the_page_has_settings_errors_slopes_and_the_command():
    (stored,) = [each for each in shipped() if command(each.outcome.experiment).startswith(
        "sqrtscale lab --algorithm rmsprop --problem quadratic --noise student:3")]
    slope, level = stored.outcome.slopes["E x"], stored.outcome.levels[0]
    for text in (html(lab_report(stored)), markdown(lab_report(stored))):
        assert f"slope {slope.slope:.2f} (95% interval {slope.low:.2f} to {slope.high:.2f})" in text
        assert f"{level.error:+.2e} ± {level.standard_error:.0e}" in text and "student:3" in text and "svg" in text
        assert command(stored.outcome.experiment) in text and "it proves nothing" in text


def test_a_wrong_rule_is_answered_by_what_stays():
    wrong = [stored for stored in shipped() if (made := stored.outcome.experiment).rule == "linear lr" and made.noise == "gauss"
             and made.betas[-1:] == (0.98,)]
    assert len(wrong) >= 3
    for stored in wrong:
        answer = lab_report(stored).answer
        assert f"C0 = {stored.outcome.intercepts['E x'].c0:.2g}" in answer and "an error stays" in answer
