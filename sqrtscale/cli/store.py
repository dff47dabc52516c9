"""``sqrtscale store``: check, back up, restore, import and clean up the database."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..rules.errors import whole
from .shared import BadInput, number, open_store

if TYPE_CHECKING:
    from ..store import CalibrationSummary, Store
    from ..store.lab import LabRecord

EVERY = 10**9  # more calibrations than any store has


def add_commands(commands: argparse._SubParsersAction[Any]) -> None:
    """What ``sqrtscale store`` can do."""
    command = commands.add_parser("check", help="look whether the database, every plan, curve and result of the lab can be "
                                  "read")
    command.set_defaults(run=run_check)
    command = commands.add_parser("backup", help="copy the database to a new file, also while calibrations run")
    command.add_argument("file", metavar="FILE", help="a file that does not exist yet")
    command.set_defaults(run=run_backup)
    command = commands.add_parser("restore", help="put a backup in the place of the database, whose content is kept beside it")
    command.add_argument("file", metavar="FILE", help="what backup has made")
    command.set_defaults(run=run_restore)
    command = commands.add_parser("import", help="take calibrations over from another database file, a rescue file for example")
    command.add_argument("file", metavar="FILE", help="a database of sqrtscale")
    command.set_defaults(run=run_import)
    command = commands.add_parser("purge", help="remove deleted calibrations and lab runs for good, with their logs")
    add_purge(command)


def add_purge(command: argparse.ArgumentParser) -> None:
    """What purging takes, here and as ``sqrtscale runs purge``."""
    command.add_argument("--older-than", type=number, metavar="DAYS", help="only what was deleted that long ago (default: all)")
    command.add_argument("--yes", action="store_true", help="do it; without this it says only how many there are")
    command.set_defaults(run=run_purge)


def run_check(options: argparse.Namespace) -> int:
    """``sqrtscale store check``"""
    from ..store.connect import database_url, shown
    from ..store.restore import older_schema, problems
    from .lab_runs import unreadable

    with _database_errors():
        older, wrong = older_schema(), list(problems(unreadable))
    said = [older] * bool(older) + wrong
    print("\n".join(said) or f"{shown(database_url())}: everything in it can be read")
    return 1 if wrong else 0


def run_backup(options: argparse.Namespace) -> int:
    """``sqrtscale store backup``"""
    from ..store.restore import back_up

    with _database_errors():
        path = back_up(Path(options.file))
    print(f"{path} is copied to {options.file}")
    return 0


def run_restore(options: argparse.Namespace) -> int:
    """``sqrtscale store restore``"""
    from ..runner.leftovers import interrupt_restored, nothing_starts, training
    from ..store import Store, StoreError
    from ..store.restore import restore

    alive = training()
    if not alive:
        try:
            with open_store() as store:
                alive = _active(store)
        except StoreError:  # it is damaged: what trains was looked for in the home
            alive = []
    if alive:
        raise BadInput(f"{', '.join(alive)} {'has' if len(alive) == 1 else 'have'} not ended: wait for the end, or cancel with "
                       f"sqrtscale runs cancel {alive[0]}, then restore")
    with nothing_starts(), _database_errors():
        path, former = restore(Path(options.file))
        store = Store.open()  # upgrades a backup of an older schema
        interrupted = interrupt_restored(store)
        store.close()
    print(f"{path} has the content of {options.file}" + (f"; what it held before is kept in {former}" if former else ""))
    for id in interrupted:
        print(f"{id} had not ended when the backup was made: it is INTERRUPTED now, and does not start by itself")
    return 0


def run_import(options: argparse.Namespace) -> int:
    """``sqrtscale store import``"""
    from ..runner.rescued import rescue_files
    from ..store import Store
    from ..store.rescue import bring_in

    file = Path(options.file)
    with _database_errors():
        store = Store.open()
        _active(store)  # what has died is no longer under way, and can be replaced
        came, there = bring_in(file)
        active = {row.id for row in store.underway()}
        store.close()
    said = [*(f"{id} is taken over" for id in came), *(f"{id} is there already" for id in there)]
    print("\n".join(said) or "nothing is stored there")
    if file.resolve() in [rescue.resolve() for rescue in rescue_files()] and not active & {*came, *there}:
        file.rename(file.with_suffix(".imported"))  # from now on nobody asks for it
    return 0


def _active(store: Store) -> list[str]:
    from ..runner.reconciliation import end_gone

    if not store.read_only:
        end_gone(store, store.underway())  # what has died must not stand in the way, and nothing may start for it
    return [row.id for row in store.underway()]


def run_purge(options: argparse.Namespace) -> int:
    """``sqrtscale store purge``, and ``sqrtscale runs purge``"""
    from ..runner import lab
    from ..runner.leftovers import purge
    from ..store import FINAL_STATES, Filter
    from ..store.lab import LabRuns

    days = None if options.older_than is None else whole("--older-than", options.older_than, 0, 30, 100_000)
    with open_store() as store:
        before = None if days is None else store.now() - timedelta(days=days)
        if not options.yes:
            count = _deleted(store.summaries(Filter(deleted=True, states=FINAL_STATES, limit=EVERY)), before)
            of_the_lab = _deleted(LabRuns(store).newest(deleted=True), before)
            runs, and_lab = (f" and {of_the_lab} lab run{'s' * (of_the_lab != 1)}", " and sqrtscale lab list --deleted") \
                if of_the_lab else ("", "")
            raise BadInput(f"this would remove {count} deleted calibration{'s' * (count != 1)}{runs} for good, with their logs: "
                           f"sqrtscale runs list --deleted{and_lab} show{'s' * (not and_lab)} them, sqrtscale store purge --yes "
                           "removes them")
        gone = [*purge(store, before), *lab.purge(store, before)]
    since = "" if days is None else f" for {days} days"
    print("\n".join([f"{id} is removed for good" for id in gone] or [f"nothing is deleted{since}"]))
    return 0


def _deleted(listed: Sequence[CalibrationSummary] | Sequence[LabRecord], before: datetime | None) -> int:
    """How many were deleted before that time."""
    return sum(before is None or (item.deleted_at is not None and item.deleted_at < before) for item in listed)


@contextmanager
def _database_errors() -> Iterator[None]:
    """What a database says while it is copied or looked through ends the command with one line."""
    from sqlalchemy.exc import SQLAlchemyError

    from ..store import failure

    try:
        yield
    except sqlite3.Error as error:
        raise RuntimeError(f"the database failed: {error}") from error
    except SQLAlchemyError as error:
        raise RuntimeError(failure(error)) from error
