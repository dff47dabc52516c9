"""What a report says, in order, before it is written as HTML or Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..compared import Compared
from ..evidence import Regime, Verdict, confidence, differences_over_samples
from ..plan import WARM_START
from ..rules import family
from ..schedules import CONSTANT
from ..store import CalibrationRecord, title
from ..tasks import Metric, Task, task
from .caveats import caveats
from .command import command, version_note
from .explanation import branching, followed
from .judging import headline, sentences, stopped_early, tested_at
from .svg import Block, Interval, Line, chart, forest

# As in the app: blue is base, orange the rule, violet the noise-aware transfer, greys the controls.
COLOURS = {"base": "#2563EB", "scaled": "#EA580C", "noise-aware": "#8B5CF6"}
GREYS = ("#6B7280", "#8B94A3", "#4B5563", "#9CA3AF")
DASHES = ("6 4", "2 3", "8 3 2 3", "1 3")


@dataclass(frozen=True)
class Table:
    """heads: one word each; rows: cells as text."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, then pictures (SVG), tables and code, whatever there is."""

    title: str
    paragraphs: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class Report:
    """title, answer (the one line that everybody understands), then the sections."""

    title: str
    answer: str
    sections: tuple[Section, ...]


def report(record: CalibrationRecord, curves: pd.DataFrame, verdicts: Mapping[str, Verdict],
           measured: Mapping[str, Regime], frontier: str = "") -> Report:
    """The report of one calibration: the question, the answer, the pictures, the numbers, how to make them again."""
    plan, about = record.plan, task(record.plan.task)
    arms = curves[curves["arm"] != WARM_START]
    start = (f"after a warm start of {plan.warm_samples:,} samples at the base configuration" if plan.warm_samples
             else f"from the checkpoint {plan.checkpoint.words}" if plan.checkpoint else "from the initial weights")
    optimizer = family(plan.base.optimizer)
    question = (f"Somebody tuned {optimizer.label} at batch {plan.base.batch_size}. Does training at batch "
                f"{plan.target_batch} (kappa = {plan.target_batch / plan.base.batch_size:.6g}), with every hyperparameter moved "
                f"by the {optimizer.rule}, follow the same course? Tried on {_subject(about, plan.size)} Every arm trains "
                f"{plan.samples:,} samples with {plan.seeds_in_words} {start}; arms share their samples seed by seed."
                + (f" From there on the learning rate of every arm {plan.schedule.words} (schedule {plan.schedule})."
                   if plan.schedule != CONSTANT else ""))
    trained = arms[arms["samples"] > 0]
    pictures = tuple(picture(arms[arms["metric"] == name], metric, plan) for name, metric in about.metrics.items()
                     if (trained["metric"] == name).any())
    came_out = (frontier, *sentences(verdicts), *caveats(record, curves, verdicts, measured), stopped_early(record))
    tests = any(verdict.functionals for verdict in verdicts.values())
    return Report(
        title=title(record.name, about.title, plan.base.batch_size, plan.target_batch),
        answer=headline(record, verdicts),
        sections=(
            Section("The question", (question,)),
            Section("What came out", tuple(filter(None, came_out)), tables=(verdict_table(verdicts),) * tests),
            *([Section("Was it a test of the rule?", (measured["scaled"].sentence,))] if "scaled" in measured else []),
            *([Section("The curves", ("Mean over seeds with the band from the smallest to the largest.",), pictures)]
              if pictures else []),
            *differences(arms, verdicts, plan),
            Section("The arms", tuple(filter(None, [branching(plan), followed(plan, curves)])), tables=(_arms(record),)),
            Section("How to repeat it", tuple(filter(None, [_made_with(record), version_note(plan)])), code=command(plan)),
        ))


def _subject(about: Task, size: str) -> str:
    """What is trained; a user's file may have a title alone, and no full stop."""
    words = about.title if about.description.rstrip(".") == about.title else f"{about.title}: {about.description.rstrip('.')}"
    several = f"{size} " if len(about.sizes) > 1 else ""
    return f"{words}. The {several}model has {about.sizes[size]:,} parameters."


def picture(curves: pd.DataFrame, metric: Metric, plan: Compared) -> str:
    """The chart of a metric; curves: of that metric alone."""
    finite = curves.assign(value=curves["value"].where(np.isfinite(curves["value"])))
    table = finite.groupby(["arm", "samples"])["value"].agg(["mean", "min", "max"]).reset_index()
    table.columns = pd.Index(["arm", "samples", "y", "low", "high"])
    return chart(_lines(table, plan), f"{plan.counted} seen", metric.title)


def differences(arms: pd.DataFrame, verdicts: Mapping[str, Verdict], plan: Compared) -> tuple[Section, ...]:
    """The differences to base over samples with the margin, and what is tested of them; nothing without a pair."""
    tests = [(test.level, verdict.margin) for verdict in verdicts.values() for test in verdict.functionals]
    if not tests:
        return ()
    level, margin = tests[0]
    size = f"± {margin.value:.2g} {margin.unit}"
    table = differences_over_samples(arms, plan.judged, level, paired=plan.paired).rename(columns={"difference": "y"})
    who = "Arm minus base on the same seed: mean over seeds" if plan.paired else "Mean of the arm minus mean of base,"
    words = (f"{who} with its {confidence(level)} interval at every point. Grey band: "
             f"the margin, {size}, within which curves count as equal. What lies beyond six margins is outside the picture.")
    over = chart(_lines(table, plan), f"{plan.counted} seen", f"Difference ({margin.unit})", margin.value)
    tested = (f"Means over the first quarter of the {plan.counted}, over the whole curve and over the last tenth (the end), with "
              f"their {confidence(level)} intervals: an arm matches where all three lie inside the grey band, {size}, and "
              "differs where one lies outside by more than chance, and a margin that few seeds know, explain.")
    blocks = [Block(arm, verdict.outcome, _colour(plan, arm), [
        Interval(test.name, test.difference, test.low, test.high) for test in verdict.functionals])
        for arm, verdict in verdicts.items() if verdict.functionals or verdict.reason == "diverged"]
    plot = forest(blocks, f"Difference to base ({margin.unit})", margin.value)
    return Section("The difference to base", (words,), (over,)), Section("What the verdict tests", (tested,), (plot,))


def _colour(plan: Compared, arm: str) -> str:
    """Of an arm other than base."""
    group = next(known.group for known in plan.arms if known.name == arm)
    return {"rule": COLOURS["scaled"], "noise-aware": COLOURS["noise-aware"]}.get(group, GREYS[0])


def _lines(table: pd.DataFrame, plan: Compared) -> list[Line]:
    """A line an arm with its band; table: columns arm, samples, y, low, high."""
    lines, others = [], 0
    for arm in plan.arms:
        points = table[table["arm"] == arm.name]
        if points.empty:
            continue
        colour, dash = COLOURS.get(arm.name), ""
        if colour is None:
            own = _colour(plan, arm.name)
            colours = GREYS if own == GREYS[0] else (own,)
            colour, dash = colours[others % len(colours)], DASHES[others % len(DASHES)]
            others += 1
        x, y, low, high = (points[name].tolist() for name in ("samples", "y", "low", "high"))
        lines.append(Line(arm.name, x, y, colour, dash, low, high))
    return lines


def verdict_table(verdicts: Mapping[str, Verdict]) -> Table:
    rows = [(arm, verdict.outcome, test.name, f"{test.difference:+.4g}", f"{test.low:+.4g} to {test.high:+.4g}",
             f"{verdict.margin.value:.4g}",
             str(verdict.pairs) if verdict.paired else f"{verdict.arm_runs} against {verdict.base_runs}")
            for arm, verdict in verdicts.items() for test in verdict.functionals]
    interval = f"{confidence(tested_at(verdicts))} interval"
    counted = "Seeds" if all(verdict.paired for verdict in verdicts.values()) else "Runs"
    return Table(("Arm", "Verdict", "Measured as", "Difference to base", interval, "Margin", counted), tuple(rows))


def _arms(record: CalibrationRecord) -> Table:
    plan = record.plan
    rows = [("batch size", *(str(arm.config.batch_size) for arm in plan.arms))]
    rows += [(name, *(" to ".join(dict.fromkeys(f"{config[name]:.8g}" for config in plan.ends(arm.name))) for arm in plan.arms))
             for name in family(plan.base.optimizer).fields]
    rows += [(f"{name} of {group.name}", *(f"{arm.config.groups[i].values[name]:.8g}" for arm in plan.arms))
             for i, group in enumerate(plan.base.groups) for name in group.values]
    return Table(("Field", *(arm.name for arm in plan.arms)), tuple(rows))


def _made_with(record: CalibrationRecord) -> str:
    packages = record.environment.get("packages", {})
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    return (f"Calibration {record.id}, {record.created_at:%Y-%m-%d %H:%M} UTC, on {record.device or 'an unknown device'}"
            f"{f', executor {record.executors}' * bool(record.executors)}"
            f"{' with ' + versions if versions else ''}; seeds {', '.join(map(str, record.plan.seeds))}, task version "
            f"{record.plan.version}.")
