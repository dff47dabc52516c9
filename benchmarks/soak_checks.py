"""What is looked at after a soak (soak.py): numbers, points, processes, locks and files, and the report of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqrtscale import runner
from sqrtscale.plan import CalibrationPlan
from sqrtscale.runner import locks, snapshots
from sqrtscale.store import Store
from sqrtscale.store.listing import Filter

if TYPE_CHECKING:
    from soak import Soak

KEPT = {"train.log", "supervisor.log", "alive.lock", "submitter.json"}  # in the folder of one that is done


def told(store: Store, id: str) -> tuple[Any, ...]:
    """Every number and word that is stored of its runs, in exact form."""
    record = store.get(id)
    curves = [(arm, seed, metric, samples, value.hex()) for arm, seed, metric, samples, value in
              store.curves(id).itertuples(index=False)]
    runs = [(run.arm, run.seed, run.state, run.reason, run.executor, repr(run.final), repr(run.best)) for run in record.runs]
    return record.state, runs, curves


@contextmanager
def environment(**names: str) -> Iterator[None]:
    """These variables, and no other database, meanwhile."""
    before = dict(os.environ)
    os.environ.pop("SQRTSCALE_DATABASE_URL", None)
    os.environ.update(names)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def references(home: Path, plans: Sequence[CalibrationPlan]) -> list[tuple[Any, ...]]:
    """What an undisturbed calibration of each plan says, in a home of its own."""
    with environment(SQRTSCALE_HOME=str(home)):
        store = Store.open()
        try:
            return [told(store, runner.wait(store, runner.submit(store, plan)).id) for plan in plans]
        finally:
            store.close()


def checks(soak: Soak, expected: list[tuple[Any, ...]]) -> dict[str, list[str]]:
    """What is checked -> whatever is wrong with it."""
    store, ids = soak.store, {}
    wrong: dict[str, list[str]] = {name: [] for name in (
        "each calibration is there once and DONE", "no point is there twice", "no point is missing",
        "numbers, states and best values are those of an undisturbed run", "the database is whole", "no process is left",
        "no lock is held", "no snapshot is left", "no other file is left")}
    once, twice, gap, same, whole, process, held, snapshot, file = wrong.values()
    for summary in store.summaries(Filter(limit=10**6)):
        ids[summary.id] = int(summary.name.split()[1])
        if summary.state != "DONE":
            once.append(f"{summary.id} is {summary.state}: {summary.reason}")
    once += [f"calibration {number} is there {count} times" for number in range(soak.options.calibrations)
             if (count := [*ids.values()].count(number)) != 1]
    for id, number in ids.items():
        reference, found = expected[number % len(expected)], told(store, id)
        points, wanted = Counter(point[:4] for point in found[2]), {point[:4] for point in reference[2]}
        twice += [f"{id} {point}" for point, count in points.items() if count > 1]
        gap += [f"{id} {point}" for point in wanted - set(points)]
        same += [id] * (found != reference)
        folder = soak.home / "calibrations" / id
        snapshot += [id] * snapshots.folder(id).exists()
        file += [f"{id}/{path.name}" for path in folder.iterdir() if path.name not in KEPT | {"snapshots"}]
    file += [folder.name for folder in (soak.home / "calibrations").iterdir() if folder.name not in ids]
    whole += database_problems(soak)
    process += [f"{each.pid} {' '.join(each.cmdline())}" for each in soak.left()]
    held += [str(path) for path in soak.home.rglob("*.lock") if locks.held(path)]
    return wrong


def database_problems(soak: Soak) -> list[str]:
    """What the database's own check says."""
    if soak.server is None:
        with sqlite3.connect(soak.home / "sqrtscale.db") as connection:
            said = [*connection.execute("PRAGMA integrity_check"), *connection.execute("PRAGMA foreign_key_check")]
        return [str(line) for line in said if line != ("ok",)]
    program = soak.server.programs / "pg_amcheck"
    command = [program, "-h", "127.0.0.1", "-p", str(soak.server.port), "-U", "tester", "--heapallindexed", "--install-missing"]
    done = subprocess.run([*command, "-d", "soak"], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def report(soak: Soak, disturbed: float, wrong: dict[str, list[str]]) -> None:
    """Markdown of what was done, how calibrations ended by it, and what the checks say."""
    ends: Counter[str] = Counter()
    anew = snapshot = 0
    for summary in soak.store.summaries(Filter(limit=10**6)):
        ends.update(data["state"] for _, kind, data in soak.store.events(summary.id) if kind == "resumed")
        log = runner.read_log(summary.id)
        snapshot += log.count("going on from a snapshot")
        anew += log.count("training begins anew")
    minutes = (time.monotonic() - soak.began) / 60
    print(f"{soak.options.calibrations} calibrations by {len(soak.submitters)} submitters, {soak.options.database}, seed "
          f"{soak.options.seed}: {disturbed:.0f} minutes of faults, done after {minutes:.0f}; load at the end "
          f"{os.getloadavg()[0]:.0f}.\n\n| fault | times |\n|---|---|")
    for name, count in sorted(soak.done.items()):
        print(f"| {name} | {count} |")
    print("\nEnds before they were done, all of which went on: " + ", ".join(f"{state} {count}" for state, count in sorted(
        ends.items())) + f"; {snapshot} times from a snapshot, {anew} times anew.\n\n| check | |\n|---|---|")
    for name, problems in wrong.items():
        print(f"| {name} | {f'{len(problems)} wrong, for example {problems[0]}' if problems else 'yes'} |")
