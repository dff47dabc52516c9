"""An imported comparison as a report: what was compared, what came out, and from which files."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping

import pandas as pd

from ..compared import VALUES, ImportedPlan
from ..evidence import Regime, Verdict
from ..store import ImportedRecord
from .caveats import caveats
from .content import Report, Section, Table, differences, picture, verdict_table
from .judging import headline, sentences

TYPED = "(as they were given)"  # how the note ends that says which seeds were typed


def origin(plan: ImportedPlan) -> str:
    """What was imported, in a line without a full stop."""
    arms = ", ".join(f"{arm.name} (batch {arm.batch_size}, {_count(plan, arm.name)})" for arm in plan.arms)
    pairs = "paired by seed" if plan.paired else "unpaired"
    begins = f", from {plan.since:,} {plan.counted} on" if plan.since else ""
    return f"{plan.metric}, {VALUES[plan.values]}, over {plan.counted}{begins}; {pairs}: {arms}"


def _count(plan: ImportedPlan, arm: str) -> str:
    runs = sum(run.arm == arm for run in plan.runs)
    return f"{runs} run{'s' * (runs > 1)}"


def files(plan: ImportedPlan) -> Table:
    """A line for each run and file; with the seed where that pairs the run with one of another arm."""
    rows = tuple((run.arm, *([str(run.seed)] if plan.paired else []), run.name, file.name, file.reader, file.sha256[:12])
                 for run in plan.runs for file in run.files)
    return Table(("Arm", *(["Seed"] if plan.paired else []), "Run", "File", "Reader", "SHA-256"), rows)


def judge_command(plan: ImportedPlan) -> str:
    """The command that judges the same logs again, where they lie in the present folder."""
    runs_of = Counter((file.name, file.sha256) for run in plan.runs for file in run.files)
    alike = Counter(name for name, _ in runs_of)
    names = {arm.name: " ".join(dict.fromkeys(
        shlex.quote(_selected(file.name, run.name, runs_of[file.name, file.sha256] == 1, alike[file.name] > 1))
        for run in plan.runs if run.arm == arm.name for file in run.files)) for arm in plan.arms}
    others = [arm for arm in plan.arms if arm.name != "base"]
    target = plan.target_batch
    parts = [f"sqrtscale judge --base {names['base']}"]
    for arm in others:
        label = shlex.quote(arm.name + (f"@{arm.batch_size}" if arm.batch_size != target else ""))
        parts.append(f"--arm {label}={names[arm.name]}")
    parts += [f"--base-batch {plan.base_batch} --target {target}", f"--x {plan.axis} --metric {shlex.quote(plan.metric)}",
              f"--values {plan.values}", *(["--paired"] if plan.paired else []),
              *([f"--margin {plan.margin:.17g}"] if plan.margin is not None else []),
              *([f"--from-samples {plan.since}"] if plan.since else [])]
    return " \\\n    ".join(parts)


def _selected(file: str, run: str, alone: bool, alike: bool) -> str:
    """The file, and which run of it where that is not the only one; alike: whether other files have its name.

    A run whose log does not name it is called by its file, or by the folder of files that are called alike.
    """
    folder, _, name = run.rpartition("/")
    if alone and re.fullmatch(re.escape(name) + r"([-_.]noise)?(\.[a-z]+)*", file):
        return f"{folder}/{file}" if folder else file
    return f"{run}/{file}" if alone and alike else f"{file}::{run}"


def how_to_repeat(record: ImportedRecord) -> str:
    """What has to be known beside :func:`judge_command`, in sentences."""
    typed = any(TYPED in note for note in record.environment.get("notes", ()))
    return ("In the logs' folder; name the reader and the columns again where the logs were read with them."
            + " The seeds were typed, which the command cannot say: it takes those that the logs suggest." * typed)


def imported_report(record: ImportedRecord, curves: pd.DataFrame, verdicts: Mapping[str, Verdict],
                    measured: Mapping[str, Regime], frontier: str = "") -> Report:
    """The report of one imported comparison; curves: as ``comparable`` gives them."""
    plan = record.plan
    metric = plan.metrics[plan.judged]
    question = (f"Somebody trained at batch {plan.base_batch} and at batch {plan.target_batch} (kappa = "
                f"{plan.target_batch / plan.base_batch:.6g}) and kept the logs. Is it the same training? Compared: "
                f"{origin(plan)}. Which run is of which arm, its batch and what the logs count was said by who imported them.")
    tests = any(verdict.functionals for verdict in verdicts.values())
    came_out = (frontier, *sentences(verdicts), *caveats(record, curves, verdicts, measured))
    drawn = curves[curves["metric"] == plan.judged]
    return Report(
        title=record.title,
        answer=headline(record, verdicts),
        sections=(
            Section("The question", (question,)),
            Section("What came out", tuple(filter(None, came_out)), tables=(verdict_table(verdicts),) * tests),
            *([Section("The curves", ("Mean over runs with the band from the smallest to the largest.",),
                       (picture(drawn, metric, plan),))] if len(drawn) else []),
            *differences(curves, verdicts, plan),
            Section("The logs", tuple(record.environment.get("notes", ())), tables=(files(plan),)),
            Section("How to repeat it", (f"Imported comparison {record.id}, {record.created_at:%Y-%m-%d %H:%M} UTC. "
                                         f"{how_to_repeat(record)}",), code=judge_command(plan)),
        ))
