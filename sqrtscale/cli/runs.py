"""``sqrtscale runs``: list, show, cancel, export, tag, delete, restore, purge."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..plan import WARM_START
from ..schedules import CONSTANT
from ..tasks import task
from .shared import BadInput, open_store, table

if TYPE_CHECKING:
    from ..store import CalibrationRecord, Store

EVERY = 10**9  # more calibrations than any store has


def run_list(options: argparse.Namespace) -> int:
    """``sqrtscale runs list``"""
    from ..runner import reconcile
    from ..store import Filter
    from ..store.export import json_value

    with open_store() as store:
        reconcile(store)
        summaries = store.summaries(Filter(text=options.text, tags=tuple(options.tag), deleted=options.deleted, limit=EVERY))
    if options.json:
        print(json.dumps([json_value(vars(summary)) for summary in summaries], indent=2))
        return 0
    if not summaries:
        asked = options.text.strip() or options.tag or options.deleted
        print("no calibration fits" if asked else "nothing stored yet: sqrtscale calibrate --task digits --wait")
        return 0
    rows = [("id", "state", "verdict", "task", "optimizer", "batch", "seeds", "created (UTC)", "name", "tags")]
    rows += [(summary.id, summary.state, summary.outcome, summary.task, summary.optimizer,
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


def print_record(store: Store, record: CalibrationRecord, as_json: bool) -> None:
    """Print one calibration, for reading or as one JSON object."""
    from ..report import judged
    from ..store import DamagedChunk
    from ..store.export import record_json

    if record.final and not record.judged:
        with suppress(DamagedChunk):  # then there is none
            record = judged(store, record)
    print(json.dumps(record_json(store, record), indent=2) if as_json else record_text(store, record))


def record_text(store: Store, record: CalibrationRecord) -> str:
    """One calibration for reading: its state, its arms' end values, and a sentence about them."""
    from ..store import DamagedChunk

    plan = record.plan
    lines = [f"{record.id}  {record.name}".rstrip(),
             f"state    {record.state}{' (deleted)' if record.deleted_at else ''} {record.reason}".rstrip(),
             f"progress {record.progress:.0%}",
             f"task     {plan.task}, {plan.base.optimizer}, batch {plan.base.batch_size} -> {plan.target_batch}, "
             f"{plan.start} start, {plan.samples} samples a run, {plan.seeds_in_words}",
             *([f"schedule {plan.schedule}: the learning rate {plan.schedule.words}"] if plan.schedule != CONSTANT else []),
             *([f"executor {record.executors}"] if record.executors else [])]
    try:
        lines += _ends(store, record)
    except DamagedChunk as error:
        lines += ["", str(error)]
    lines += [f"{run.arm}, seed {run.seed}: {run.state}, {run.reason}" for run in record.runs if run.state == "DIVERGED"]
    taken: dict[tuple[str, str], list[str]] = {}
    for (arm, seed), source in store.reused(record.id).items():
        taken.setdefault((arm, source), []).append(str(seed))
    lines += [f"{arm}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}: taken from calibration {source}, not trained again"
              for (arm, source), seeds in taken.items()]
    return "\n".join(lines)


def _ends(store: Store, record: CalibrationRecord) -> list[str]:
    """Where every arm ended, and the verdicts; nothing before there are points. Raises DamagedChunk."""
    from ..evidence import confidence, layer_tails, passes_for_normal, summarise
    from ..report import curvature_reach, frontier, headline, reasons, regimes, sentences, stopped_early, tested_at, verdicts

    curves = store.curves(record.id)
    metric = task(record.plan.task).judged
    ends = summarise(curves[curves["arm"] != WARM_START], metric)
    if not ends:
        return []
    measured = regimes(record, curves)
    judged = verdicts(record, curves, measured=measured)
    tested = {arm: verdict.end for arm, verdict in judged.items() if verdict.end}
    sure = confidence(tested_at(judged))
    rows = [("arm", f"end {metric}", "std", "seeds", "against base", f"difference to base ({sure} interval)")]
    for arm, end in ends.items():
        outcome, difference = judged[arm].outcome if arm in judged else "", ""
        if test := tested.get(arm):
            interval = f" ({test.low:+.5f} to {test.high:+.5f})" if test.pairs > 1 else ""
            difference = f"{test.difference:+.5f}{interval}"
        rows.append((arm, f"{end.mean:.6g}", f"{end.std:.3g}", str(end.n), outcome, difference))
    said = [headline(record, judged), *filter(None, [frontier(record, judged)]), *sentences(judged),
            *reasons(record, judged, measured, passes_for_normal(layer_tails(curves))),
            *filter(None, [curvature_reach(record.plan, curves), stopped_early(record)])]
    lines = table(rows) if any(end.samples for end in ends.values()) else []  # nothing of what stopped at the branch point
    return ["", *lines, *[""] * bool(lines), *(sentence.replace("**", "") for sentence in said)]


def run_cancel(options: argparse.Namespace) -> int:
    """``sqrtscale runs cancel``"""
    from ..runner import cancel

    with open_store() as store:
        record = _find(store, options.id)
        if record.final:
            raise BadInput(f"{record.id} has ended already: it is {record.state}")
        print(f"{record.id} is {cancel(store, record.id)}")
    return 0


def run_delete(options: argparse.Namespace) -> int:
    """``sqrtscale runs delete``"""
    with open_store() as store:
        record = _find(store, options.id)
        if not record.final:
            raise BadInput(f"{record.id} is {record.state}: cancel it first, with sqrtscale runs cancel {record.id}")
        store.delete(record.id)
    print(f"{record.id} is deleted; sqrtscale runs restore {record.id} brings it back")
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


def run_purge(options: argparse.Namespace) -> int:
    """``sqrtscale runs purge``"""
    from ..store import FINAL_STATES, Filter

    with open_store() as store:
        if not options.yes:
            count = store.count(Filter(deleted=True, states=FINAL_STATES))
            raise BadInput(f"this would remove {count} deleted calibration{'s' * (count != 1)} for good: sqrtscale runs list "
                           "--deleted shows them, sqrtscale runs purge --yes removes them")
        gone = store.purge()
    print("\n".join([f"{id} is removed for good" for id in gone] or ["nothing is deleted"]))
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


def _find(store: Store, id: str) -> CalibrationRecord:
    """The calibration whose id starts with ``id``, deleted or not; raises FieldError where its plan cannot be read."""
    return store.get(whole_id(store, id))


def whole_id(store: Store, id: str) -> str:
    """The id that starts with ``id``, of a calibration that is deleted or not, and that need not be readable."""
    from ..store import Filter

    ids = [summary.id for deleted in (False, True) for summary in store.summaries(Filter(text=id, deleted=deleted, limit=EVERY))
           if id and summary.id.startswith(id)]
    if len(ids) > 1:
        raise BadInput(f"ID = {id!r} fits {len(ids)} calibrations: give more of it, for example {ids[0]}")
    if not ids:
        raise BadInput(f"ID = {id!r} is not a stored calibration: sqrtscale runs list shows them")
    return ids[0]
