"""``sqrtscale lab list``, ``show``, ``cancel``, ``delete``, ``restore``: stored runs, and which of them cannot be read."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..rules import FieldError
from . import lab as measuring
from .shared import BadInput, open_store, table

if TYPE_CHECKING:
    from ..store import Store
    from ..store.lab import LabRecord

LISTED = ("id", "state", "reason", "progress", "answer", "created_at", "started_at", "ended_at", "deleted_at")
USUAL = {"rule": "square root", "convention": "torch"}  # said only where they are not


def add_commands(commands: argparse._SubParsersAction[Any]) -> None:
    """What ``sqrtscale lab`` can do with what is stored."""
    command = commands.add_parser("list", help="list the stored runs, newest first")
    command.add_argument("--deleted", action="store_true", help="the deleted ones instead")
    command.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print a JSON list")
    command.set_defaults(run=run_list)
    for name, action, does in (("show", run_show, "what came out of one"), ("cancel", run_cancel, "end one"),
                               ("delete", run_delete, "put one away (restore brings it back, store purge removes it)"),
                               ("restore", run_restore, "bring a deleted one back")):
        command = commands.add_parser(name, help=does)
        command.add_argument("id", metavar="ID", help="its id, or the first characters of it")
        command.set_defaults(run=action)
        if name == "show":
            measuring.add_output(command, default=argparse.SUPPRESS)  # what is said before the action counts, too


def run_list(options: argparse.Namespace) -> int:
    """``sqrtscale lab list``"""
    from ..runner import lab
    from ..store.export import json_value
    from ..store.lab import LabRuns

    with open_store() as store:
        lab.reconcile(store)
        records = LabRuns(store).newest(deleted=options.deleted)
    if options.json:
        print(json.dumps([json_value({name: getattr(record, name) for name in LISTED} | {"settings": _given(record)})
                          for record in records], indent=2))
        return 0
    if not records:
        print("no lab run is deleted" if options.deleted else "nothing stored yet: sqrtscale lab --store")
        return 0
    rows = [("id", "state", "experiment", "created (UTC)", "answer")]
    rows += [(record.id, record.state, _experiment(record), f"{record.created_at:%Y-%m-%d %H:%M}", _answer(record))
             for record in records]
    print("\n".join(table(rows)))
    return 0


def run_show(options: argparse.Namespace) -> int:
    """``sqrtscale lab show``"""
    from ..lab.stored import read
    from ..runner import lab
    from ..store.lab import LabRuns

    with open_store() as store:
        lab.reconcile(store)
        record, runs = _stored(store, options.id), LabRuns(store)
        if record.state != "DONE":
            if options.json:
                raise BadInput(f"{record.id} is {record.state} and has no result: sqrtscale lab list says how far it is")
            print(f"{record.id} is {record.state}: {_answer(record)}")
            return 0
        outcome = read(runs.result(record.id)).outcome
    measuring.print_outcome(outcome, options)
    return 0


def run_cancel(options: argparse.Namespace) -> int:
    """``sqrtscale lab cancel``"""
    from ..runner import lab
    from ..store.lab import LabRuns

    with open_store() as store:
        lab.reconcile(store)
        record, runs = _stored(store, options.id), LabRuns(store)
        if record.final:
            raise BadInput(f"{record.id} has ended already: it is {record.state}")
        runs.request_cancel(record.id)
        now = runs.get(record.id)
        print(f"{record.id} is {now.state if now.final else 'being ended'}")
    return 0


def run_delete(options: argparse.Namespace) -> int:
    """``sqrtscale lab delete``"""
    from ..runner import lab
    from ..store.lab import LabRuns

    with open_store() as store:
        lab.reconcile(store)
        record = _stored(store, options.id)
        if record.deleted_at:
            raise BadInput(f"{record.id} is deleted already: sqrtscale lab restore {record.id} brings it back")
        if not record.final:
            raise BadInput(f"{record.id} is {record.state}: cancel it first, with sqrtscale lab cancel {record.id}")
        LabRuns(store).delete(record.id)
    print(f"{record.id} is deleted; sqrtscale lab restore {record.id} brings it back")
    return 0


def run_restore(options: argparse.Namespace) -> int:
    """``sqrtscale lab restore``"""
    from ..store.lab import LabRuns

    with open_store() as store:
        record = _stored(store, options.id)
        if not record.deleted_at:
            raise BadInput(f"{record.id} is not deleted: sqrtscale lab list shows it")
        LabRuns(store).restore(record.id)
    print(f"{record.id} is back")
    return 0


def unreadable(store: Store) -> Iterator[str]:
    """A sentence for every stored run whose settings or result cannot be read."""
    from ..lab import experiment
    from ..lab.stored import read
    from ..store.lab import ACTIVE, FINAL, LabRuns, NoLabRun

    runs = LabRuns(store)
    for record in (*runs.newest(), *runs.newest(deleted=True)):
        try:
            if record.state not in (*ACTIVE, *FINAL):
                raise FieldError("state", record.state, f"is none of {', '.join((*ACTIVE, *FINAL))}")
            settings = record.given
            if record.state != "FAILED":  # settings that are refused are what it failed for
                experiment(**settings)
            if record.state == "DONE":
                read(runs.result(record.id))
        except FieldError as error:
            yield f"lab run {record.id}: {error}"
        except NoLabRun:  # removed for good meanwhile
            continue


def _given(record: LabRecord) -> dict[str, Any] | None:
    """The settings; None where they cannot be read."""
    try:
        return record.given
    except FieldError:
        return None


def _experiment(record: LabRecord) -> str:
    """What it is about: algorithm, problem, noise, and what is not usual."""
    given = _given(record)
    if given is None:
        return "settings that cannot be read"
    words = [str(given.get(name, "")) for name in ("algorithm", "problem", "noise")]
    words += [str(value) for name, usual in USUAL.items() if (value := given.get(name, usual)) != usual]
    return ", ".join(words)


def _answer(record: LabRecord) -> str:
    return record.answer or record.reason or (f"{record.progress:.0%}" if record.state == "RUNNING" else "")


def _stored(store: Store, id: str) -> LabRecord:
    """The run whose id starts with ``id``, deleted or not."""
    from ..store.lab import LabRuns

    runs = LabRuns(store)
    fitting = [record for record in (*runs.newest(), *runs.newest(deleted=True)) if id and record.id.startswith(id)]
    if len(fitting) > 1:
        raise BadInput(f"ID = {id!r} fits {len(fitting)} lab runs: give more of it, for example {fitting[0].id}")
    if not fitting:
        raise BadInput(f"ID = {id!r} is not a stored lab run: sqrtscale lab list shows them")
    return fitting[0]
