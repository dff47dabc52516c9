"""Calibrations under random faults: many in one queue, whatever works on them killed and stopped at random, then all checked.

    python benchmarks/soak.py [--calibrations 200] [--submitters 10] [--minutes 20] [--pause 5] [--database sqlite] [--seed 0]

Processes of their own queue the calibrations in one home. For the minutes given, scheduler, supervisors, training processes,
submitters and PostgreSQL are killed, told to end, stopped for some time or for good, one after another; some calibrations are
cancelled, and what has ended before it was done goes on now and then, as somebody at the machine would have it. Then nobody
disturbs them any more, and everything that is not done goes on. At the end each calibration has to be done with the numbers of
an undisturbed one of its plan, to the last bit, and nothing may be left: no process, no lock that is held, no snapshot.

Which fault comes when follows from the seed alone; whom it meets, from what lives at that time. Both stand in soak.log of the
folder. Prints Markdown; ends with 1 where a check failed, and then the folder stays.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from soak_checks import checks, references, report

from sqrtscale import runner
from sqrtscale.plan import CalibrationPlan, make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.runner.patience import Patience, patient
from sqrtscale.store import RESUMABLE_STATES, Store
from sqrtscale.store.listing import Filter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from databases import PostgreSQL

PLAN = make_plan("digits", TrainingConfig("adam", 8, {"lr": 1e-3}), 16, seeds=2, go_on=True, samples=480, start="warm",
                 warm_samples=320, evaluations=6, arms=["base", "scaled"], device="cpu", reuse=False)
PLANS = (PLAN, replace(PLAN, reuse=True), replace(PLAN, samples=8_000), replace(PLAN, start="scratch", warm_samples=0))
KINDS = {"training process": 6, "supervisor": 5, "scheduler": 4, "submitter": 4, "database": 2, "cancel": 1, "everybody": 1}
SIGNALS = {"SIGKILL": 3, "SIGTERM": 2, "SIGSTOP": 2}
LONGEST_STOP = 15.0  # seconds, of what is told to go on
RESUME_EVERY = 15.0
STUCK = 600.0  # seconds in which not one more calibration is done, though nobody disturbs them


@dataclass(frozen=True)
class Fault:
    """What is done next: after so many seconds, to whom of its kind, how; and for how long where it is stopped, 0 for good."""

    pause: float
    kind: str
    signal: str
    place: float
    seconds: float


def faults(seed: int, pause: float) -> Iterator[Fault]:
    """The faults of that seed, without end, so many seconds apart on average."""
    chance = random.Random(seed)
    while True:
        kind, = chance.choices([*KINDS], [*KINDS.values()])
        name, = chance.choices([*SIGNALS], [*SIGNALS.values()])
        until_then, place, seconds, for_good = chance.expovariate(1 / pause), chance.random(), chance.random(), chance.random()
        ours = kind in ("training process", "supervisor", "scheduler")  # which are to be ended by force where they stand still
        yield Fault(until_then, kind, name, place, 0.0 if ours and for_good < 0.3 else 1.0 + seconds * (LONGEST_STOP - 1.0))


def plan_of(number: int) -> CalibrationPlan:
    """The plan of the calibration of that number."""
    return PLANS[number % len(PLANS)]


def submit(numbers: range, pause: float) -> None:
    """Queue these calibrations, each once, whatever happens to this process and to the database. The work of a submitter."""
    chance = random.Random(numbers.start)
    for number in numbers:
        while True:
            try:
                store = Store.open()
                if not store.summaries(Filter(text=name_of(number))):
                    runner.submit(store, plan_of(number), name_of(number))
                store.close()
                break
            except Exception as error:  # as somebody who reads it and tries again
                print(f"{name_of(number)}: {' '.join(str(error).split())[:200]}", flush=True)
                time.sleep(1.0)
        if number + 1 in numbers:
            time.sleep(chance.uniform(0, 2 * pause))


def name_of(number: int) -> str:
    return f"soak {number:05d}"


class Soak:
    """One home under faults."""

    def __init__(self, options: argparse.Namespace, folder: Path, server: PostgreSQL | None):
        self.options, self.folder, self.server = options, folder, server
        self.home = Path(os.environ["SQRTSCALE_HOME"])
        self.began = time.monotonic()
        self.log = open(folder / "soak.log", "a", encoding="utf-8")  # noqa: SIM115
        self.store = patient(Store.open(), Patience(self.say))
        self.submitters: dict[range, subprocess.Popen[bytes]] = {}
        self.stopped: dict[psutil.Process, float] = {}  # -> when it is told to go on
        self.done: Counter[str] = Counter()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:8.1f} s  {text}", file=self.log, flush=True)

    # --- who is there -----------------------------------------------------------------------------------------------------

    def processes(self) -> dict[str, list[psutil.Process]]:
        """By kind, those of this home, and those of the database that serve somebody."""
        kinds: dict[str, list[psutil.Process]] = {kind: [] for kind in KINDS}
        for process in sorted(psutil.process_iter(), key=lambda process: process.pid):
            with suppress(psutil.Error):
                if process.pid == os.getpid() or process.environ().get("SQRTSCALE_HOME") != str(self.home):
                    continue
                kinds[self._kind(" ".join(process.cmdline()))].append(process)
        if self.server is not None:
            with suppress(psutil.Error, OSError):
                postmaster = psutil.Process(int((self.server.folder / "data/postmaster.pid").read_text().split()[0]))
                kinds["database"] = [postmaster, *postmaster.children()]
        return kinds

    @staticmethod
    def _kind(command: str) -> str:
        for mark, kind in (("--submit", "submitter"), ("runner.child", "training process"), ("--schedule", "scheduler")):
            if mark in command:
                return kind
        return "supervisor" if "sqrtscale.runner " in command else "everybody"

    # --- what is done -----------------------------------------------------------------------------------------------------

    def disturb(self) -> None:
        """One fault after another, until the minutes are over."""
        until = self.began + 60 * self.options.minutes
        resume_at = self.began + RESUME_EVERY
        for fault in faults(self.options.seed, self.options.pause):
            fault_at = time.monotonic() + fault.pause
            while (now := time.monotonic()) < fault_at and now < until:
                self._look_after()
                if now > resume_at:
                    resume_at = now + RESUME_EVERY
                    self.resume()
                time.sleep(min(0.2, max(fault_at - now, 0.0)))
            if time.monotonic() >= until:
                break
            self._commit(fault)
        self.say("no more faults")
        for process in [*self.stopped]:
            self._go_on(process)

    def _commit(self, fault: Fault) -> None:
        kinds = self.processes()
        there = [*self.left()] if fault.kind == "everybody" else kinds[fault.kind]
        if fault.kind == "cancel":
            return self._cancel(fault)
        if fault.kind == "database":
            return self._disturb_database(fault, there)
        if not there:
            return self.say(f"{fault.signal} to {fault.kind}: there is none")
        if fault.kind == "everybody":  # a shutdown
            for process in there:
                self._signal(process, "SIGTERM")
            return self._note("everybody", "SIGTERM", f"{len(there)} processes")
        target = there[int(fault.place * len(there))]
        with suppress(psutil.Error):
            command = " ".join(target.cmdline()[-3:])
            if self._signal(target, fault.signal, fault.seconds):
                length = f" for {fault.seconds:.1f} s" if fault.seconds else " for good"
                self._note(fault.kind, fault.signal, f"{target.pid} ({command})" + length * (fault.signal == "SIGSTOP"))

    def _cancel(self, fault: Fault) -> None:
        rows = self.store.underway()
        if rows:
            id = rows[int(fault.place * len(rows))].id
            self._note("calibration", "cancelled", f"{id}, {runner.cancel(self.store, id)}")

    def _disturb_database(self, fault: Fault, there: list[psutil.Process]) -> None:
        if self.server is None or not there:
            return self.say("the database: there is no server")
        if fault.signal == "SIGTERM":
            self.server.stop()
            time.sleep(fault.seconds)
            self.server.start()
            return self._note("PostgreSQL", "crashed and started", f"after {fault.seconds:.1f} s")
        target = there[int(fault.place * len(there))] if fault.signal == "SIGSTOP" else there[-1]
        if self._signal(target, fault.signal, fault.seconds):
            self._note("PostgreSQL's process", fault.signal, f"{target.pid}, for {fault.seconds:.1f} s where it was stopped")

    def _signal(self, process: psutil.Process, name: str, seconds: float = 0.0) -> bool:
        with suppress(psutil.Error):
            process.send_signal(signal.Signals[name])
            if name == "SIGSTOP" and seconds:
                self.stopped[process] = time.monotonic() + seconds
            return True
        return False

    def _go_on(self, process: psutil.Process) -> None:
        del self.stopped[process]
        self._signal(process, "SIGCONT")

    def _note(self, kind: str, fault: str, whom: str) -> None:
        self.done[f"{kind}: {fault}"] += 1
        self.say(f"{kind}: {fault}: {whom}")

    def _look_after(self) -> None:
        """What was stopped goes on in its time; who was to submit more is started again."""
        for process, at in [*self.stopped.items()]:
            if time.monotonic() > at:
                self._go_on(process)
        for numbers, submitter in self.submitters.items():
            if submitter.poll():
                self.start_submitter(numbers)

    # --- what people do ---------------------------------------------------------------------------------------------------

    def start_submitters(self) -> None:
        """Each has its share of the calibrations."""
        each = -(-self.options.calibrations // self.options.submitters)
        for first in range(0, self.options.calibrations, each):
            self.start_submitter(range(first, min(first + each, self.options.calibrations)))

    def start_submitter(self, numbers: range) -> None:
        pause = 60 * self.options.minutes / len(numbers) / 2  # so that the last one comes in the middle
        with open(self.folder / "submitters.log", "ab") as output:
            self.submitters[numbers] = subprocess.Popen(
                [sys.executable, __file__, "--submit", str(numbers.start), str(numbers.stop), str(pause)], stdout=output,
                stderr=output, stdin=subprocess.DEVNULL, env=os.environ, start_new_session=True)

    def resume(self) -> int:
        """Let everything go on that has ended before it was done; how many calibrations are done."""
        runner.reconcile(self.store)
        states: Counter[str] = Counter()
        for summary in self.store.summaries(Filter(limit=10**6)):
            states[summary.state] += 1
            if summary.state in RESUMABLE_STATES:
                with suppress(FieldError):  # its state is another one by now
                    from_snapshot = runner.resume(self.store, summary.id)
                    self.say(f"{summary.id} goes on {'from a snapshot' if from_snapshot else 'anew'}, was {summary.state}: "
                             f"{' '.join(summary.reason.split())[:300]}")
        self.say(f"states: {dict(states)}")
        return states["DONE"]

    def finish(self) -> None:
        """Let all of it come to its end, with nobody in the way. Raises TimeoutError where it does not."""
        done, changed_at = -1, time.monotonic()
        while done < self.options.calibrations or self.store.underway():
            self._look_after()
            if (now_done := self.resume()) != done:
                done, changed_at = now_done, time.monotonic()
            if time.monotonic() - changed_at > STUCK:
                raise TimeoutError(f"only {done} are done, and for {STUCK:.0f} s not one more")
            time.sleep(2.0)
        deadline = time.monotonic() + 60
        while any(self.left()) and time.monotonic() < deadline:
            self._look_after()
            time.sleep(0.2)

    def left(self) -> Iterator[psutil.Process]:
        """The processes of the home."""
        for kind, processes in self.processes().items():
            if kind != "database":
                yield from processes


@contextmanager
def database(kind: str, folder: Path) -> Iterator[PostgreSQL | None]:
    """A server of its own where PostgreSQL is asked for."""
    if kind == "sqlite":
        yield None
        return
    with PostgreSQL(folder / "postgresql") as server:
        os.environ["SQRTSCALE_DATABASE_URL"] = server.database("soak")
        yield server


def run(options: argparse.Namespace, folder: Path, server: PostgreSQL | None) -> bool:
    """Whether everything is as it should be."""
    expected = references(folder / "reference", PLANS)
    soak = Soak(options, folder, server)
    soak.start_submitters()
    stuck: Callable[[], None] | None = None
    try:
        soak.disturb()
        disturbed = (time.monotonic() - soak.began) / 60
        soak.finish()
    except TimeoutError as error:
        print(error)
        disturbed, stuck = options.minutes, soak.log.flush
    wrong = checks(soak, expected)
    report(soak, disturbed, wrong)
    for name, problems in wrong.items():
        for problem in problems:
            soak.say(f"{name}: no: {problem}")
    soak.store.close()
    return stuck is None and not any(wrong.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calibrations", type=int, default=200, help="how many are queued")
    parser.add_argument("--submitters", type=int, default=10, help="processes that queue them")
    parser.add_argument("--minutes", type=float, default=20.0, help="of faults")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two faults, on average")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--folder", type=Path, help="a new folder for everything; default: a temporary one")
    parser.add_argument("--submit", nargs=3, metavar=("FIRST", "END", "PAUSE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.submit:
        first, end, pause = options.submit
        return submit(range(int(first), int(end)), float(pause))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"SQRTSCALE_SNAPSHOT_S": "0", "SQRTSCALE_HOME": str(folder / "home"), "OMP_WAIT_POLICY": "PASSIVE"}
    with database(options.database, folder) as server:
        fine = run(options, folder, server)
    if not fine:
        sys.exit(f"something is wrong: see {folder}")
    if options.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
