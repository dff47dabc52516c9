"""What a training process keeps so that another one can go on from there: snapshots, each with what the store had by then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import URL

from ..home import private_folder
from ..plan import WARM_START, CalibrationPlan
from ..store import Store
from ..store.connect import synchronize
from ..tasks import task
from ..training import Event, Measured, Resumable, RunEnded
from ..training.snapshots import Damaged, Snapshots, read, write
from . import snapshots, warm_starts


@dataclass(frozen=True)
class WarmStart:
    """A warm start that another calibration has trained: which one, what it has measured, and the snapshot at its end."""

    calibration: str
    measured: list[Measured]
    snapshot: dict[str, Any]


class Keeper:
    """The snapshots of one calibration, and of its warm start for others.

    reached: (arm, seed) -> samples of the last point that was measured; ended: the runs that are over; taken: those of another
    calibration; groups: how the steps were carried out, as the environment has it; warm: samples and values of the warm start's
    points; moved: whether it goes on on another device than it began on, because that has failed.
    """

    def __init__(self, id: str, plan: CalibrationPlan, environment: Mapping[str, Any], moved: bool = False):
        self.id, self.plan, self.moved = id, plan, moved
        self.snapshots = Snapshots(snapshots.folder(id))
        self.conditions = snapshots.conditions(environment, task(plan.task).version)
        self.due = snapshots.Due()
        self.reached: dict[tuple[str, int], int] = {}
        self.ended: set[tuple[str, int]] = set()
        self.taken: set[tuple[str, int]] = set()
        self.groups: list[dict[str, Any]] = []
        self.warm: list[tuple[int, dict[str, float]]] = []

    @property
    def branched(self) -> bool:
        """Whether an arm has been measured."""
        return any(arm != WARM_START for arm, _ in self.reached)

    def go_on(self, store: Store) -> dict[str, Any] | None:
        """What training goes on from, by the newest snapshot that is whole and of which the store has all; None without one.

        The store forgets what came later. Raises RuntimeError where the same steps would not be made any more.
        """
        while (content := self._newest()) is not None:
            before = content["conditions"]
            if self.moved:
                if before[snapshots.DEVICES] != self.conditions[snapshots.DEVICES]:
                    print("the snapshots are of more devices than one, which the models are spread over")
                    break
                before = {name: value for name, value in before.items() if name not in snapshots.OF_A_DEVICE}
            if changed := snapshots.changed(before, self.conditions):
                raise RuntimeError(f"it cannot go on to the same numbers, because {changed}: go back to that, or try it again "
                                   "as a new calibration")
            reached = {(arm, seed): samples for arm, seed, samples in content["reached"]}
            ended, taken = ({(arm, seed) for arm, seed in content.get(name, ())} for name in ("ended", "taken"))
            if store.rewind(self.id, reached, ended, taken):
                self.reached, self.ended, self.taken = reached, ended, taken
                self.groups, self.warm = content["groups"], content["warm"]
                training: dict[str, Any] = content["training"]
                print(f"going on from a snapshot, {training['done']} samples are done")
                return training
            print("a snapshot is passed over: the database has less than it, as after a backup was restored")
            self.snapshots.forget_last()
        print("there is no snapshot to go on from: training begins anew")
        store.rewind(self.id, None)
        return None

    def _newest(self) -> dict[str, Any] | None:
        content, wrong = self.snapshots.last()
        for sentence in wrong:
            print(f"a snapshot is passed over: {sentence}")
        return content

    def warm_start(self) -> WarmStart | None:
        """The plan's warm start, where one like it is kept; none of a task of the user's own, whose data and libraries may be
        others by now."""
        if self.plan.own:
            return None
        path = warm_starts.place(self.plan, self.conditions)
        try:
            content = read(path)
        except FileNotFoundError:
            return None
        except (Damaged, OSError) as error:
            print(f"the warm start that is kept cannot be used: {error}")
            warm_starts.forget(path)
            return None
        warm_starts.used(path)
        measured = [Measured(WARM_START, self.plan.seeds[0], samples, values) for samples, values in content["warm"]]
        return WarmStart(content["calibration"], measured, content["training"])

    def keep_warm_start(self, event: Resumable) -> None:
        """Keep the warm start for other calibrations, where it has just ended and none like it is kept."""
        path = warm_starts.place(self.plan, self.conditions)
        if self.plan.own or self.moved or self.branched or len(self.warm) != len(self.plan.warm_points) or path.exists():
            return
        training = event.snapshot()
        group = training["warm"] | {"steps": 0, "seconds": 0.0, "finished": False}  # another one makes none
        content = {"calibration": self.id, "warm": self.warm,
                   "training": training | {"done": self.plan.warm_samples, "parts": [], "warm": group}}
        try:
            write(private_folder(path.parent) / path.name, content)
            warm_starts.prune()
        except OSError as error:
            print(f"the warm start could not be kept: {error}")

    def note(self, event: Event) -> None:
        """Count what has been measured, and what is over."""
        if isinstance(event, Measured):
            self.reached[event.arm, event.seed] = event.samples
            if event.arm == WARM_START:
                self.warm.append((event.samples, event.values))
        elif isinstance(event, RunEnded):
            self.ended.add((event.arm, event.seed))

    def keep(self, event: Resumable, database: URL) -> None:
        """Take a snapshot; everything that was noted has to be stored in that database.

        Where it cannot be written, training goes on without.
        """
        if not self.reached:
            return
        began = time.monotonic()
        content = {"conditions": self.conditions, "reached": [[*run, samples] for run, samples in self.reached.items()],
                   "ended": [list(run) for run in self.ended], "taken": [list(run) for run in self.taken],
                   "groups": self.groups, "warm": self.warm, "training": event.snapshot()}
        try:
            synchronize(database)  # no snapshot outlives what it counts on
            private_folder(self.snapshots.folder)
            self.snapshots.add(content)
        except OSError as error:  # a full disk, for example
            print(f"a snapshot could not be written: {error}")
        self.due.took(time.monotonic() - began)
