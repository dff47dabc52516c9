"""Results as files: those that come with the package, and those that ``sqrtscale lab --json`` wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..rules.errors import FieldError
from .engine import PROBABILITIES
from .experiment import Settings, experiment
from .result import WeakError

FOLDER = Path(__file__).parent / "results"
PICTURES = ("courses", "quantiles", "paths")  # what the command line leaves out unless it is asked for them
DIGITS = 6
LARGEST_FILE = 5_000_000  # characters


@dataclass(frozen=True)
class Stored:
    """A result, the version of sqrtscale that measured it ("" where the file does not say), and the day."""

    outcome: WeakError
    version: str = ""
    date: str = ""


@cache
def shipped() -> tuple[Stored, ...]:
    """Every result that comes with the package, by the names of their files."""
    return tuple(read(path.read_text()) for path in sorted(FOLDER.glob("*.json")))


def read(text: str) -> Stored:
    """A result from JSON, with or without its pictures; raises FieldError where it is none."""
    if len(text) > LARGEST_FILE:
        raise FieldError("file", f"{len(text):,} characters", "is no result of the lab: give what sqrtscale lab --json wrote")
    try:
        given = json.loads(text)
        outcome = WeakError.from_dict({name: [] for name in PICTURES} | given)
        _check(outcome)
        return Stored(outcome, str(given.get("version", "")), str(given.get("date", "")))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FieldError("file", text[:40], "is no result of the lab: give what sqrtscale lab --json wrote") from error


def as_text(stored: Stored, pictures: bool) -> str:
    """JSON for a file of the package: few digits; of the pictures, where wanted, only the steps of ``shown_steps``.

    Without pictures there are still the quantiles of noise without a variance, whose spread is what is measured there.
    """
    outcome, shown = stored.outcome, {None, *shown_steps(stored.outcome)}
    spreads = {outcome.experiment.base_step, outcome.experiment.steps[-1]} if outcome.experiment.parts[2].is_stable else set()
    outcome = replace(
        outcome, courses=tuple(course for course in outcome.courses if pictures and course.h in shown),
        quantiles=tuple(each for each in outcome.quantiles if (pictures and each.h in shown) or each.h in spreads),
        paths=tuple(path for path in outcome.paths if pictures and path.h in shown and path.number == 0))
    # The settings keep all digits: the steps follow from them.
    content = {"version": stored.version, "date": stored.date} | _rounded(outcome.as_dict()) | asdict(outcome.experiment)
    return json.dumps(content, separators=(",", ":")) + "\n"


def shown_steps(outcome: WeakError) -> tuple[float, ...]:
    """The steps h = eta^2 whose courses are drawn: of the largest eta, of half of it and of a quarter, as far as there are."""
    largest = outcome.experiment.steps[-1]
    return tuple(h for h in (largest, largest / 4, largest / 16) if h in outcome.experiment.steps)


def _check(outcome: WeakError) -> None:
    """Raises ValueError, TypeError or KeyError (FieldError is a ValueError) where names or numbers cannot be true."""
    made = outcome.experiment
    settings: Any = {name: value for name, value in asdict(made).items() if name in Settings.__annotations__}
    if experiment(**settings) != made or not outcome.slopes:
        raise ValueError("no experiment of the lab")
    steps, shown = set(made.steps), {None, *shown_steps(outcome)}
    for name in outcome.test_functions:
        outcome.intercepts[name], outcome.constants[name]
        courses = {course.h for course in outcome.courses if course.test_function == name}
        if {level.h for level in outcome.levels if level.test_function == name} != steps or not (courses >= shown or not courses):
            raise ValueError("steps that are not there")
    if any(each.probabilities != PROBABILITIES or len(each.values) != len(PROBABILITIES) for each in outcome.quantiles):
        raise ValueError("other quantiles")
    lengths = [(path.times, path.values) for path in outcome.paths]
    for course in outcome.courses:
        lengths += [(course.times, course.values), (course.times, course.standard_errors)]
    lengths += [(each.times, values) for each in outcome.quantiles for values in each.values]
    if any(len(times) != len(values) for times, values in lengths):
        raise ValueError("values without a time")
    walked = {path.h for path in outcome.paths if path.number == 0}
    if walked and not (walked >= shown and {each.h for each in outcome.quantiles} >= shown):
        raise ValueError("steps that are not there")
    content = asdict(outcome)
    del content["experiment"]
    if not all(map(math.isfinite, _numbers(content))):
        raise ValueError("a number that is none")


def _numbers(value: Any) -> Iterator[float]:
    """Every number in rows of names and numbers."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name != "test_function" and isinstance(each, str):
                raise TypeError(name)
            yield from _numbers(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float):
        yield value


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: each if name == "h" else _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
