"""An experiment of the lab as a page that can be sent: question, answer, the errors over the batch, what each of them says."""

from __future__ import annotations

import math

from ..lab import RIGHT, WeakError, algorithm, wording
from ..lab.command import command
from ..lab.stored import Stored
from .content import Report, Section, Table
from .svg import Line, chart

COLOURS = ("#B45309", "#7C3AED", "#DB2777", "#0891B2")


def lab_report(stored: Stored) -> Report:
    """The page of one result."""
    outcome = stored.outcome
    made = outcome.experiment
    first = outcome.test_functions[0]
    measured = tuple(wording.slope_sentence(outcome, name) for name in outcome.test_functions)
    stays = tuple(wording.intercept_sentence(outcome, name) for name in outcome.test_functions)
    predicted = tuple(wording.prediction_sentence(outcome, each) for each in outcome.predictions if each.test_function == first)
    by = f"version {stored.version}, {stored.date}" if stored.version else ""
    return Report(
        title=f"The lab: {algorithm(made.algorithm).TITLE} and its {outcome.limit}",
        answer=wording.slope_sentence(outcome, first) if made.rule == RIGHT else wording.intercept_sentence(outcome, first),
        sections=(
            Section("What was measured", (wording.expectation_sentence(outcome), wording.about(outcome), wording.FIRST_ORDER),
                    tables=(_settings(outcome, by),)),
            Section(f"The error against the {outcome.limit}", _picture_words(outcome), (_picture(outcome),), (_errors(outcome),)),
            Section("Slopes", (*measured, *predicted)),
            Section("What stays as the batch goes to 0", stays),
            Section("What it means for a verdict", (wording.verdict_paragraph(outcome), wording.NO_PROOF)),
            Section("How to measure the same numbers again", code=command(made))))


def _settings(outcome: WeakError, by: str) -> Table:
    made = outcome.experiment
    rows = [("Algorithm", algorithm(made.algorithm).TITLE), ("Problem", made.problem.replace("_", " ")), ("Noise", made.noise),
            ("Betas of the base", ", ".join(f"{beta:g}" for beta in made.betas)), ("kappa", f"{made.kappa:g}"),
            ("Form of the step", made.convention), ("Rule", made.rule), ("Measured by sqrtscale", by)]
    return Table(("Setting", "Value"), tuple((name, value) for name, value in rows if value))


def _axis(outcome: WeakError) -> str:
    return "1 - beta2" if outcome.experiment.betas else "h"


def _picture_words(outcome: WeakError) -> tuple[str, ...]:
    return (f"The size of the error at the end over {_axis(outcome)}, which grows with the batch, both as powers of ten; a slope "
            "of 1 is first order. What is lost in its noise is left out of the picture.",)


def _picture(outcome: WeakError) -> str:
    lines = []
    for name, colour in zip(outcome.test_functions, COLOURS, strict=False):
        clear = [level for level in outcome.levels if level.test_function == name and level.is_clear and level.error]
        places = [math.log10(level.one_minus_beta2 or level.h) for level in clear]
        if clear:
            lines.append(Line(name, places, [math.log10(abs(level.error)) for level in clear], colour))
    return chart(lines, f"log10 of {_axis(outcome)}", "log10 of |error|") if lines else ""


def _errors(outcome: WeakError) -> Table:
    rows = []
    for at in (level for level in outcome.levels if level.test_function == outcome.test_functions[0]):
        cells = [level for level in outcome.levels if level.h == at.h]
        rows.append((f"{at.one_minus_beta2 or at.h:.3g}", f"{at.kappa:g}",
                     *(f"{cell.error:+.2e} ± {cell.standard_error:.0e}" for cell in cells)))
    return Table((_axis(outcome), "kappa", *outcome.test_functions), tuple(rows))
