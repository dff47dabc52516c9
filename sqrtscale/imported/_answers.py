"""What somebody answers who knows how the curves came about, and the comparison that follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..compared import CONTROLS, MEASURED, VALUES, Axis, ImportedArm, ImportedGroup, ImportedPlan, ImportedRun, LogFile, Values
from ..logs import Curve, Run
from ..rules import FieldError
from ..rules.errors import choice
from ._grid import left_out, on_common_points
from ._guesses import Guess, metric_of, seeds_of, values_of

COLUMNS: dict[Axis, str] = {"steps": "step", "samples": "samples", "tokens": "tokens"}
MOST_POINTS = 2_000_000
LARGEST_PLACE = 2.0**53  # samples: from here on whole numbers are not exact


@dataclass(frozen=True)
class Selection:
    """The runs of an arm, and its global batch size; seeds: of those that have a curve, None for what their names say."""

    arm: str
    runs: tuple[Run, ...]
    batch_size: int
    seeds: tuple[int, ...] | None = None

    @property
    def group(self) -> ImportedGroup:
        """What the arm is for, by its name."""
        words = " ".join(re.findall(r"[a-z]+", self.arm.lower()))  # linear_lr and Linear-LR are linear lr
        return "base" if self.arm == "base" else "control" if words in CONTROLS else "rule"


@dataclass(frozen=True)
class Answers:
    """axis: what is counted where a point stands; metric, values: "" and None for what is guessed; paired: whether runs of the
    same seed saw the same samples in the same order; margin: None for the default; since: where the comparison begins."""

    axis: Axis
    metric: str = ""
    values: Values | None = None
    paired: bool = False
    margin: float | None = None
    since: int = 0


@dataclass(frozen=True)
class Imported:
    """A comparison that can be stored: its plan, every point of its curves, and what was guessed or left out in sentences."""

    plan: ImportedPlan
    curves: pd.DataFrame
    notes: tuple[str, ...]


def imported(selections: Sequence[Selection], answers: Answers) -> Imported:
    """The comparison of those arms. Raises FieldError for what cannot be compared, and where nobody can guess."""
    _check_apart(selections)
    runs = [run for selection in selections for run in selection.runs if run.curves]
    metric = _metric(runs, answers.metric)
    guess = values_of([run.curves[metric] for run in runs])
    values = guess.value if answers.values is None else choice("values", answers.values, tuple(VALUES))
    notes = [f"{metric} is taken for {VALUES[values]}" + (f" ({guess.reason})." if answers.values is None else ".")]
    guesses = seeds_of({selection.arm: selection.runs for selection in selections})
    members: list[ImportedRun] = []
    tables: list[pd.DataFrame] = []
    for selection in selections:
        with_curves = [run for run in selection.runs if run.curves]
        seeds = guesses[selection.arm] if selection.seeds is None else Guess(selection.seeds, "as they were given")
        numbers = seeds.value if answers.paired else tuple(range(len(with_curves)))
        if answers.paired:
            notes.append(f"Seeds of {selection.arm}: {', '.join(map(str, numbers))} ({seeds.reason}).")
        measured = _measured(selection, with_curves)
        for place, (run, seed) in enumerate(zip(with_curves, numbers, strict=True)):
            curve = run.curves[metric]
            files = tuple(LogFile(_readable(origin.path.name), origin.sha256, origin.reader) for origin in run.origins)
            members.append(ImportedRun(selection.arm, seed, _readable(run.name), files, curve.resumed_at))
            tables.append(_table(selection, seed, curve, answers.axis))
            tables += [_table(selection, seed, other, "samples") for other in measured.get(place, ()) if answers.axis != "tokens"
                       or not answers.since]
    arms = tuple(ImportedArm(selection.arm, selection.batch_size, selection.group) for selection in selections)
    plan = ImportedPlan(metric, arms, tuple(members), answers.axis, values, answers.paired, answers.margin, answers.since)
    curves = pd.concat(tables, ignore_index=True)
    if len(curves) > MOST_POINTS:
        raise FieldError("metric", metric, f"has {len(curves):,} points, more than {MOST_POINTS:,}: give fewer runs, or a metric "
                                           "that is logged less often")
    _check_compares(plan, on_common_points(curves, plan))
    return Imported(plan, curves, (*notes, *_resumed(plan), *left_out(curves, plan)))


def _check_apart(selections: Sequence[Selection]) -> None:
    """That each arm has a run with a curve, and that no run is there twice, by itself or as a copy of its file."""
    names = [selection.arm for selection in selections]
    if len(set(names)) < len(names):
        raise FieldError("arms", ", ".join(names), "has a name twice: give every arm its own")
    given: dict[tuple[Path, str], str] = {}
    files: dict[str, tuple[Path, tuple[str, str]]] = {}
    for selection in selections:
        if not any(run.curves for run in selection.runs):
            raise FieldError("arms", selection.arm, "has no run with a curve: give the logs of at least one")
        for run in selection.runs:
            owner = selection.arm, run.name
            for origin in run.origins if run.curves else ():
                arm = given.setdefault((origin.path, run.name), selection.arm)
                if arm != selection.arm:
                    raise FieldError("runs", run.name, f"is given twice, for {arm} and for {selection.arm}: give it once")
                path, first = files.setdefault(origin.sha256, (origin.path, owner))
                if path != origin.path and first != owner:
                    raise FieldError("runs", run.name, f"has a file that is a copy of one of run {first[1]}: a copy is no run of "
                                                       "its own, so leave it out")


def _readable(name: str) -> str:
    """A name as every database and page can show it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)


def _metric(runs: Sequence[Run], asked: str) -> str:
    """The metric asked for, or the only one that all runs have."""
    shared, _ = metric_of(runs)
    if not shared:
        every = dict.fromkeys(name for run in runs for name in run.curves)
        raise FieldError("metric", asked, f"is not in every run, and no other is: the runs have {_listed(list(every))}; give "
                                          "runs that logged the same")
    if not asked and len(shared) == 1:
        return next(iter(shared))
    if not asked:
        raise FieldError("metric", "", f"is not named, and the runs share several: give one of {_listed(list(shared))}")
    return choice("metric", asked, tuple(shared))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _table(selection: Selection, seed: int, curve: Curve, axis: Axis) -> pd.DataFrame:
    """A curve over samples (or tokens), in the columns of the store."""
    column = COLUMNS[axis]
    if column not in curve.axes:
        known = [name for name, ours in COLUMNS.items() if ours in curve.axes]
        raise FieldError("x", axis, f"was not logged with {curve.metric} of {selection.arm}: give "
                                    f"{' or '.join(known) or 'logs that count steps, samples or tokens'}")
    places = curve.points[column].to_numpy(float) * (selection.batch_size if axis == "steps" else 1)
    kept = np.isfinite(places) & (places >= 0) & (places <= LARGEST_PLACE)
    table = pd.DataFrame({"arm": selection.arm, "seed": seed, "metric": curve.metric,
                          "samples": np.rint(places[kept]).astype(np.int64),
                          "value": curve.points["value"].to_numpy(float)[kept]})
    return table.drop_duplicates("samples", keep="last").sort_values("samples", kind="stable")


def _measured(selection: Selection, runs: Sequence[Run]) -> dict[int, list[Curve]]:
    """Place among the runs with a curve -> what a NoiseMeter measured: in the run itself, or in a file of its own, in order."""
    alone = [run for run in selection.runs if not run.curves and run.measurements]
    found: dict[int, list[Curve]] = {}
    for place, run in enumerate([*runs, *alone]):
        where = place if place < len(runs) else min(place - len(runs), len(runs) - 1)
        if where not in found and run.measurements:
            found[where] = [curve for name, curve in run.measurements.items() if name in MEASURED]
    return found


def _resumed(plan: ImportedPlan) -> Iterator[str]:
    for run in plan.runs:
        if run.resumed_at:
            places = ", ".join(f"{place:,.0f}" for place in run.resumed_at)
            yield f"{run.name} was resumed at {plan.axis[:-1] if len(run.resumed_at) == 1 else plan.axis} {places}."


def _check_compares(plan: ImportedPlan, aligned: pd.DataFrame) -> None:
    """That base and the rule's arm have points to compare, and pairs where they are paired."""
    judged = aligned[(aligned["metric"] == plan.metric) & (aligned["samples"] > 0)]
    for arm in ("base", plan.rule):
        if not (judged["arm"] == arm).any():
            beyond = f" beyond {plan.since:,}" if plan.since else ""
            raise FieldError("metric", plan.metric, f"has no finite value of {arm} where the others have some{beyond}: give runs "
                             f"over the same {plan.counted}, or check their batches and what the axis counts")
    seeds = {arm: set(judged.loc[judged["arm"] == arm, "seed"].tolist()) for arm in ("base", plan.rule)}
    if plan.paired and not seeds["base"] & seeds[plan.rule]:
        raise FieldError("paired", True, f"is not possible: whole runs of base have seeds {sorted(seeds['base'])}, those of "
                         f"{plan.rule} {sorted(seeds[plan.rule])}; name runs of a pair alike, or compare them unpaired")
