"""``sqrtscale runs``: list, show, cancel, resume, export, tag, delete, restore."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..plan import WARM_START
from ..schedules import CONSTANT
from ..tasks import without_version
from .shared import BadInput, open_store, table

if TYPE_CHECKING:
    from ..store import CalibrationRecord, CalibrationSummary, ImportedRecord, Record, Store

EVERY = 10**9  # more calibrations than any store has


def run_list(options: argparse.Namespace) -> int:
    """``sqrtscale runs list``"""
    from ..runner import reconcile
    from ..runner.rescued import hint, rescue_files
    from ..store import Filter
    from ..store.export import json_value

    with open_store() as store:
        reconcile(store)
        summaries = store.summaries(Filter(text=options.text, tags=tuple(options.tag), deleted=options.deleted, limit=EVERY))
    for file in rescue_files():
        print(hint(file), file=sys.stderr)
    if options.json:
        print(json.dumps([json_value(vars(summary)) for summary in summaries], indent=2))
        return 0
    if not summaries:
        asked = options.text.strip() or options.tag or options.deleted
        print("no calibration fits" if asked else "nothing stored yet: sqrtscale calibrate --task digits --wait")
        return 0
    rows = [("id", "state", "verdict", "task", "optimizer", "batch", "seeds", "created (UTC)", "name", "tags")]
    rows += [(summary.id, summary.state, summary.outcome, without_version(summary.task), summary.optimizer,
              f"{summary.base_batch} -> {summary.target_batch}", str(summary.seeds), f"{summary.created_at:%Y-%m-%d %H:%M}",
              summary.name, ", ".join(summary.tags)) for summary in summaries]
    print("\n".join(table(rows)))
    return 0


def run_show(options: argparse.Namespace) -> int:
    """``sqrtscale runs show``"""
    from ..runner import reconcile

    with open_store() as store:
        reconcile(store)
        print_record(store, _find(store, options.id), options.json)
    return 0


def print_record(store: Store, record: Record, as_json: bool) -> None:
    """Print one calibration, for reading or as one JSON object."""
    from ..report import judged
    from ..store import DamagedChunk
    from ..store.export import record_json

    if record.final and not record.judged:
        with suppress(DamagedChunk):  # then there is none
            record = judged(store, record)
    print(json.dumps(record_json(store, record), indent=2) if as_json else record_text(store, record))


def record_text(store: Store, record: Record) -> str:
    """One calibration or imported comparison for reading: what it is, its arms' end values, and a sentence about them."""
    from ..runner.rescued import goes_on, hint, rescue_file
    from ..store import RESUMABLE_STATES, CalibrationRecord, DamagedChunk, ImportedRecord

    lines = [f"{record.id}  {record.name}".rstrip(),
             f"state    {record.state}{' (deleted)' if record.deleted_at else ''} {record.reason}".rstrip()]
    if isinstance(record, CalibrationRecord):
        if rescue_file(record.id).exists():
            lines.append(hint(rescue_file(record.id)))
        elif record.state in RESUMABLE_STATES and goes_on(record.id):
            lines.append(f"go on    sqrtscale runs resume {record.id}")
        lines += _trained(record)
    elif isinstance(record, ImportedRecord):
        lines += _imported(record)
    try:
        lines += _ends(store, record)
    except DamagedChunk as error:
        lines += ["", str(error)]
    names = {(run.arm, run.seed): run.name for run in record.plan.runs} if isinstance(record, ImportedRecord) else {}
    lines += [f"{run.arm}, {names.get((run.arm, run.seed), f'seed {run.seed}')}: {run.state}, {run.reason}" for run in record.runs
              if run.state == "DIVERGED"]
    taken: dict[tuple[str, str], list[str]] = {}
    for (arm, seed), source in store.reused(record.id).items():
        taken.setdefault((arm, source), []).append(str(seed))
    lines += [f"{arm}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}: taken from calibration {source}, not trained again"
              for (arm, source), seeds in taken.items()]
    return "\n".join(lines)


def _trained(record: CalibrationRecord) -> list[str]:
    from ..runner import waiting
    from ..runner.restarts import can_go_on

    plan, words = record.plan, "" if record.final else waiting(record.id)
    return [f"progress {record.progress:.0%}", *([f"now      {words}"] if words else []),
            f"task     {plan.task}, {plan.base.optimizer}, batch {plan.base.batch_size} -> {plan.target_batch}, "
            f"{plan.start} start, {plan.samples} samples a run, {plan.seeds_in_words}",
            *([f"branched from {plan.checkpoint.words}: {plan.checkpoint.path}"] if plan.checkpoint else []),
            *([f"schedule {plan.schedule}: the learning rate {plan.schedule.words}"] if plan.schedule != CONSTANT else []),
            *([f"executor {record.executors}"] if record.executors else []),
            *(["restart  it goes on by itself after a restart of the machine"]
              if record.resume_after_restart and can_go_on(record) else [])]


def _imported(record: ImportedRecord) -> list[str]:
    from ..report import origin

    return [f"imported {origin(record.plan)}", *(f"note     {note}" for note in record.environment.get("notes", []))]


def _ends(store: Store, record: Record) -> list[str]:
    """Where every arm ended, and the verdicts; nothing before there are points. Raises DamagedChunk."""
    from ..evidence import confidence, summarise
    from ..report import caveats, comparable, frontier, headline, regimes, sentences, stopped_early, tested_at, verdicts

    curves, metric = comparable(store, record), record.plan.judged
    ends = summarise(curves[curves["arm"] != WARM_START], metric, paired=record.plan.paired)
    if not ends:
        return []
    measured = regimes(record, curves)
    judged = verdicts(record, curves, measured=measured)
    tested = {arm: verdict.end for arm, verdict in judged.items() if verdict.end}
    sure = confidence(tested_at(judged))
    rows = [("arm", f"end {metric}", "std", "seeds" if record.plan.paired else "runs", "against base",
             f"difference to base ({sure} interval)")]
    for arm, end in ends.items():
        outcome, difference = judged[arm].outcome if arm in judged else "", ""
        if test := tested.get(arm):
            interval = f" ({test.low:+.5f} to {test.high:+.5f})" if test.pairs > 1 else ""
            difference = f"{test.difference:+.5f}{interval}"
        rows.append((arm, f"{end.mean:.6g}", f"{end.std:.3g}" if end.n > 1 else "", str(end.n), outcome, difference))
    said = [headline(record, judged), *filter(None, [frontier(record, judged)]), *sentences(judged),
            *caveats(record, curves, judged, measured), *filter(None, [stopped_early(record)])]
    lines = table(rows) if any(end.samples for end in ends.values()) else []  # nothing of what stopped at the branch point
    return ["", *lines, *[""] * bool(lines), *(sentence.replace("**", "") for sentence in said)]


def run_cancel(options: argparse.Namespace) -> int:
    """``sqrtscale runs cancel``"""
    from ..runner import cancel
    from ..runner.restarts import can_go_on

    with open_store() as store:
        record = _find(store, options.id)
        if record.final:
            on = f", and goes on by itself: sqrtscale runs resume-after-restart {record.id} --off lets it not" \
                if record.resume_after_restart and can_go_on(record) else ""
            raise BadInput(f"{record.id} has ended already: it is {record.state}{on}")
        print(f"{record.id} is {cancel(store, record.id)}")
    return 0


def run_resume(options: argparse.Namespace) -> int:
    """``sqrtscale runs resume``"""
    from ..runner import resume, resume_interrupted

    if bool(options.id) == options.interrupted:
        raise BadInput("give an ID, or --interrupted for all that a restart has interrupted and that go on by themselves")
    with open_store() as store:
        if options.interrupted:
            resumed = [f"{id} is queued again" for id in resume_interrupted(store)]
            print("\n".join(resumed) or "nothing was interrupted that goes on by itself")
            return 0
        id = _find(store, options.id).id
        how = "goes on from its last snapshot" if resume(store, id) else "has no snapshot here and begins anew"
    print(f"{id} is queued again and {how}: sqrtscale runs show {id}")
    return 0


def run_resume_after_restart(options: argparse.Namespace) -> int:
    """``sqrtscale runs resume-after-restart``"""
    from ..runner.restarts import can_go_on

    with open_store() as store:
        record = _find(store, options.id)
        if not can_go_on(record):
            ended = "was cancelled" if record.state in ("CANCELLING", "INTERRUPTED") else f"is {record.state}"
            raise BadInput(f"{record.id} {ended}: give a calibration that has not ended, or that a restart has interrupted")
        store.set_resume_after_restart(record.id, not options.off)
    print(f"{record.id} goes on by itself after a restart of the machine" if not options.off
          else f"{record.id} stays as it is after a restart of the machine")
    return 0


def run_delete(options: argparse.Namespace) -> int:
    """``sqrtscale runs delete``"""
    from ..store import FINAL_STATES

    with open_store() as store:
        summary = _listed(store, options.id)
        if summary.state not in FINAL_STATES:
            raise BadInput(f"{summary.id} is {summary.state}: cancel it first, with sqrtscale runs cancel {summary.id}")
        store.delete(summary.id)
    print(f"{summary.id} is deleted; sqrtscale runs restore {summary.id} brings it back")
    return 0


def run_restore(options: argparse.Namespace) -> int:
    """``sqrtscale runs restore``"""
    with open_store() as store:
        id = whole_id(store, options.id)
        store.restore(id)
    print(f"{id} is back")
    return 0


def run_tag(options: argparse.Namespace) -> int:
    """``sqrtscale runs tag``"""
    with open_store() as store:
        id = whole_id(store, options.id)
        (store.untag if options.remove else store.tag)([id], *options.tags)
        tags = store.tags_of(id)
    print(f"{id} has {'the tags ' + ', '.join(tags) if tags else 'no tags'}")
    return 0


def run_export(options: argparse.Namespace) -> int:
    """``sqrtscale runs export``"""
    from ..report import REPORTS, reported
    from ..store.export import FORMATS

    known = (*FORMATS, *REPORTS)
    if options.format not in known:
        raise BadInput(f"--format = {options.format!r} is not known: give one of {', '.join(known)}")
    with open_store() as store:
        record = _find(store, options.id)
        if options.format in FORMATS:
            text = FORMATS[options.format](store, record)
        else:
            text = REPORTS[options.format](reported(store, record))
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        with Path(options.output).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"--output = {options.output!r} cannot be written: {error.strerror}; give a new file") from error
    return 0


def _find(store: Store, id: str) -> Record:
    """What is stored under an id that starts with ``id``, deleted or not; raises FieldError where its plan cannot be read."""
    return store.record(whole_id(store, id))


def whole_id(store: Store, id: str) -> str:
    """The id that starts with ``id``, of a calibration that is deleted or not, and that need not be readable."""
    return _listed(store, id).id


def _listed(store: Store, id: str) -> CalibrationSummary:
    """The line of that calibration in lists."""
    from ..store import Filter

    listed = [summary for deleted in (False, True) for summary in store.summaries(Filter(text=id, deleted=deleted, limit=EVERY))
              if id and summary.id.startswith(id)]
    if len(listed) > 1:
        raise BadInput(f"ID = {id!r} fits {len(listed)} calibrations: give more of it, for example {listed[0].id}")
    if not listed:
        raise BadInput(f"ID = {id!r} is not a stored calibration: sqrtscale runs list shows them")
    return listed[0]
