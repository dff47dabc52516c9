"""``sqrtscale judge``: runs that were trained elsewhere, from their logs to a verdict."""

from __future__ import annotations

import argparse
import glob
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compared import AXES, CONTROLS, VALUES, ImportedPlan
from ..rules import FieldError
from ..rules.config import LARGEST_BATCH
from ..rules.errors import choice, positive_margin, whole
from .shared import BadInput, number, open_store

if TYPE_CHECKING:
    from ..evidence import Regime, Verdict
    from ..imported import Selection
    from ..logs import Run

OF_A_RUN = "::"  # between files and the runs in them that are meant
CODES = {"matches": 0, "differs": 3}
UNDECIDED = 4
NOT_MEASURED = "not measured"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``judge``."""
    where = f"files or folders, patterns in quotes; FILE{OF_A_RUN}RUNS takes those runs of a file that holds several"
    command.add_argument("--base", nargs="+", required=True, metavar="FILES", help=f"logs of the base runs: {where}")
    command.add_argument("--arm", nargs="+", action="append", required=True, metavar="NAME[@BATCH]=FILES", help="logs of an arm, "
                         f"for example scaled='scaled-*.csv'; one called {', '.join(CONTROLS)} is a control, which should "
                         "differ from base; @BATCH where its batch is not the target")
    command.add_argument("--base-batch", type=number, required=True, metavar="N", help="global batch size of base")
    command.add_argument("--target", type=number, required=True, metavar="N", help="global batch size of the arms")
    command.add_argument("--x", metavar="|".join(AXES), help="what the logs count: optimizer steps, samples or tokens. W&B's own "
                         "step counts calls of log")
    command.add_argument("--metric", default="", metavar="NAME", help="what is compared (default: the only metric that all have)")
    command.add_argument("--values", metavar="|".join(VALUES), help=f"what a value is: {'; '.join(VALUES.values())} (default: by "
                         "the metric's name and what the log says)")
    command.add_argument("--paired", action="store_true", help="runs of the same seed saw the same samples in the same order")
    command.add_argument("--margin", type=number, metavar="X", help="how far apart curves may lie and still match, in the "
                         "metric's unit (default: 1%% of base's end value and its spread between seeds)")
    command.add_argument("--from-samples", type=number, default=0, metavar="N", help="where the comparison begins, in samples "
                         "(or tokens): cuts off a warm-up, or a start that the arms share")
    command.add_argument("--reader", metavar="READER", help="of the logs, where several fit (docs/logs.md)")
    command.add_argument("--column", action="append", default=[], metavar="WORD=COLUMN", help="what a table's column is: run, "
                         "metric, value, step, samples, tokens, epoch or wall_time")
    command.add_argument("--name", default="", help="a name for lists")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def run_judge(options: argparse.Namespace) -> int:
    """``sqrtscale judge``: 0 matches, 3 differs, 4 cannot tell or not a test, 2 bad input."""
    base_batch = whole("base-batch", options.base_batch, 1, 256, LARGEST_BATCH)
    target = whole("target", options.target, 1, 1024, LARGEST_BATCH)
    arms = sorted((_arm(words, target) for words in options.arm), key=lambda arm: arm[1] != target)
    named = [("base", base_batch, options.base), *arms]  # the first one that is no control decides
    if options.margin is not None:
        positive_margin(options.margin)
    since = whole("from-samples", options.from_samples, 0, 0)
    values = None if options.values is None else choice("values", options.values, tuple(VALUES))

    from .. import report  # loads pandas and sqlalchemy: only once the options are known to be good
    from ..imported import Answers, Selection, imported

    columns = dict(_column(text) for text in options.column)
    notes: dict[str, None] = {}
    selections = []
    for arm, batch, files in named:
        runs, said = _runs(arm, files, options.reader, columns)
        selections.append(Selection(arm, runs, batch))
        notes.update(dict.fromkeys(said))
    if options.x is None:
        raise FieldError("x", "", f"is not said: {_logged(selections)}; say what the curves are over, with --x "
                                  f"{'|'.join(AXES)}")
    axis = choice("x", options.x, AXES)
    comparison = imported(selections, Answers(axis, options.metric, values, options.paired, options.margin, since))
    with open_store() as store:
        id = store.create_imported(comparison.plan, comparison.curves, options.name, (*notes, *comparison.notes))
        record = store.record(id)
        curves = report.comparable(store, record)
        measured = report.regimes(record, curves)
        verdicts = report.verdicts(record, curves, measured=measured)
        judged = report.keep(store, record, verdicts, measured, report.differences(record, curves, verdicts))
        if options.json:
            print(json.dumps(_json(id, comparison.plan, verdicts, measured.get(comparison.plan.rule)), indent=2))
        else:
            from .runs import record_text

            print(record_text(store, judged))
    rule = verdicts.get(comparison.plan.rule)
    return CODES.get(rule.outcome, UNDECIDED) if rule else UNDECIDED


def _arm(words: Sequence[str], target: int) -> tuple[str, int, list[str]]:
    """(name, batch, files) of ``NAME[@BATCH]=FILES``."""
    name, equals, files = words[0].partition("=")
    name, at, batch = name.partition("@")
    if not equals or not name.strip() or not files:
        raise BadInput(f"--arm = {words[0]!r} names no arm and its logs: give for example scaled='scaled-*.csv'")
    return name.strip(), whole("batch", number(batch), 1, 1024, LARGEST_BATCH) if at else target, [files, *words[1:]]


def _column(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not theirs:
        raise BadInput(f"--column = {text!r} names no column: give for example step=iteration")
    return ours.strip(), theirs


def _runs(arm: str, files: Sequence[str], reader: str | None, columns: dict[str, str]) -> tuple[tuple[Run, ...], tuple[str, ...]]:
    """The runs of an arm, each once, and what is to be said of them."""
    from .. import logs

    runs: dict[str, Run] = {}
    notes: list[str] = []
    by_runs: dict[str, list[Path]] = {}
    for text in files:
        pattern, _, wanted = text.partition(OF_A_RUN)
        paths = [Path(pattern)] if Path(pattern).exists() else [Path(path) for path in sorted(glob.glob(pattern))]
        if not paths:
            raise BadInput(f"{arm} = {pattern!r} is not there: give files or folders of logs")
        by_runs.setdefault(wanted, []).extend(paths)
    for wanted, paths in by_runs.items():
        read = logs.read(list(dict.fromkeys(paths)), reader=reader, names=columns)
        chosen = [run for run in read.runs if run.name == wanted] or [
            run for run in read.runs if not wanted or fnmatchcase(run.name, wanted)]
        if not chosen:
            known = ", ".join(run.name for run in read.runs[:8])
            raise BadInput(f"{arm} = {wanted!r} is no run of these files: give one of {known}")
        for run in chosen:
            runs[run.name] = _together(arm, runs[run.name], run) if run.name in runs else run
        notes += read.notes
    return tuple(runs.values()), tuple(notes)


def _together(arm: str, known: Run, run: Run) -> Run:
    """A run that was read twice, or whose curves stand in one file and its noise measurements in another; refuses two runs."""
    if set(run.origins) <= set(known.origins):
        return known
    if set(known.origins) <= set(run.origins):
        return run
    if (known.curves and run.curves) or (known.measurements and run.measurements):
        first, second = (", ".join(str(origin.path) for origin in alike.origins) for alike in (known, run))
        raise BadInput(f"{arm} = {run.name!r} is a run of {first} and another one of {second}: leave one out, or give it another "
                       "name in its log")
    return replace(known, origins=(*known.origins, *run.origins), curves={**known.curves, **run.curves},
                   measurements={**known.measurements, **run.measurements}, parameters={**run.parameters, **known.parameters})


def _logged(selections: Sequence[Selection]) -> str:
    """What the points of all runs were logged over, in words."""
    axes = [set(curve.axes) for selection in selections for run in selection.runs for curve in run.curves.values()]
    shared = [axis for axis in ("step", "samples", "tokens") if axes and all(axis in known for known in axes)]
    return f"the logs have {' and '.join(shared)}" if shared else "the logs share no column of steps, samples or tokens"


def _json(id: str, plan: ImportedPlan, verdicts: dict[str, Verdict], regime: Regime | None) -> dict[str, Any]:
    margin = next(iter(verdicts.values())).margin.value if verdicts else math.nan
    return {
        "id": id, "metric": plan.metric, "margin": _finite(margin), "paired": plan.paired,
        "verdicts": {arm: _verdict(verdict) for arm, verdict in verdicts.items()},
        "regime": regime.dominated if regime else NOT_MEASURED,
        "noise_scale": {name: _finite(value) for name, value in (
            ("value", regime.noise_scale), ("low", regime.low), ("high", regime.high))} if regime else None,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    end = verdict.end
    return {"outcome": verdict.outcome, "sentence": verdict.sentence.replace("**", ""),
            "difference": _finite(end.difference) if end else None, "low": _finite(end.low) if end else None,
            "high": _finite(end.high) if end else None, "seeds": verdict.pairs, "samples_ahead": verdict.samples_ahead}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
