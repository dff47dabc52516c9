"""The calibration: a warm start at the base configuration, then every arm from that point, side by side.

The generator says what happens (Measured, RunEnded, Progress, Branched, SeedsEnded) and whoever iterates decides what to do
with it; closing it is how a calibration is cancelled, or ended early. It knows no database and no process.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

import torch
from torch import Tensor

from ..plan import WARM_START, CalibrationPlan, complete_points
from ..rules import FieldError
from ..tasks import Batch, Data, Task, task
from . import measuring, regime
from .course import Course
from .device import fast_settings, resolve
from .events import Branched, Event, Measured, Progress, RunEnded, SeedsEnded
from .executors import choose
from .memory import seed_parts
from .population import Population
from .streams import DRAW_AT_ONCE, Stream

Run = tuple[str, int]  # arm and seed
SAY_EVERY = 0.4  # seconds between two Progress events


def calibrate(plan: CalibrationPlan, stored: Collection[tuple[str, int]] = ()) -> Generator[Event, None, None]:
    """Train every run of the plan but those (arm, seed) that are ``stored`` already; yields events as they happen.

    The warm start is trained whenever an arm is, because its weights are kept nowhere; base's runs must not be stored where an
    arm that follows them is not. Raises FieldError when a device of the
    plan is not there. Arms advance together from one evaluation point to the next, so that their curves grow side by side; the
    models of each batch size are spread over the devices.
    """
    devices = resolve(plan.device)
    arms = {run: plan.arm(run[0]) for run in plan.runs if run not in stored}
    if not arms:
        return
    about = task(plan.task)
    data = [about.data(device) for device in devices]
    for name, split in (("validation", data[0].validation), ("train_sample", data[0].train_sample)):
        if split.count() < (about.micro or 1):
            raise FieldError("micro", about.micro, f"is more than the {split.count()} samples of {name} of task {about.name}: "
                                                   "give the task more of them, or a smaller micro-batch")
    arms.pop((WARM_START, plan.seeds[0]), None)
    clock = _Clock(total=plan.warm_samples + plan.samples * sum(arm.work for arm in arms.values()))
    with fast_settings(about):
        if not choose(about.network(plan.size), plan.base.optimizer, devices[0]).starts_at_once():
            yield Progress("compiling the training step, once", 0, clock.total, 0.0)
        parent, course = None, Course(plan) if plan.follows else None
        if plan.start == "warm":
            points = plan.warm_points
            group = Group(about, data[0], [(WARM_START, plan.seeds[0])], plan, "warm start", points, course)
            yield from group.measured(0)
            yield from _side_by_side([[group]], points, clock, WARM_START)
            if not group.runs:
                raise RuntimeError("the warm start diverged: the base configuration does not train this task, "
                                   "so there is nothing to compare; lower the base learning rate")
            yield from group.finish()
            parent = group.population
            parent.executor.forget()
        for first, end in seed_parts(plan, devices):
            runs = [run for run in arms if run[1] in plan.seeds[first:end]]
            yield from _part(plan, data, runs, parent, course, clock)
            if end in plan.looks[:-1]:
                yield SeedsEnded(end)


def _part(plan: CalibrationPlan, data: Sequence[Data], runs: list[Run], parent: Population | None, course: Course | None,
          clock: _Clock) -> Iterator[Event]:
    """Runs of the arms that train at the same time, from the branch point to the end; their memory is the next part's."""
    groups: list[list[Group]] = []
    for kind, alike in kinds(plan, runs):
        groups.append([_branched(part, share, plan, kind, parent, course) for part, share in spread(alike, data)])
        for group in groups[-1]:  # base first: what it measures there says how the others branch that follow it
            yield from group.measured(0)
    yield Branched()
    yield from _side_by_side(groups, plan.evaluation_points, clock, "arms")
    for group in chain(*groups):
        yield from group.finish()


def kinds(plan: CalibrationPlan, runs: Sequence[Run]) -> Iterator[tuple[tuple[int, int], list[Run]]]:
    """((batch size, l of SVAG), its runs): what can train in one population; base's first."""
    kind_of = {run: (plan.arm(run[0]).config.batch_size, plan.arm(run[0]).svag) for run in runs}
    for kind in sorted(set(kind_of.values()), key=lambda kind: (kind != (plan.base.batch_size, 0), kind)):
        yield kind, [run for run in runs if kind_of[run] == kind]


def spread(runs: Sequence[Run], data: Sequence[Data]) -> Iterator[tuple[Data, Sequence[Run]]]:
    """(data on one device, the runs that train there): as equal as can be, the first largest, no device without a run.

    A seed is on as few devices as can be, because each draws its samples.
    """
    by_seed, parts = sorted(runs, key=lambda run: run[1]), min(len(data), len(runs))
    cuts = [-(-len(runs) * i // parts) for i in range(parts + 1)]
    for part, (first, end) in zip(data, pairwise(cuts), strict=False):
        share = set(by_seed[first:end])
        yield part, [run for run in runs if run in share]


def _branched(data: Data, runs: Sequence[Run], plan: CalibrationPlan, kind: tuple[int, int], parent: Population | None,
              course: Course | None) -> Group:
    """The group of these runs at its start: ``parent``'s weights and optimizer, or none from scratch."""
    size, ell = kind
    # A stream of its own: SVAG draws more samples for the same time, so it cannot be paired with base.
    stream = f"l={ell} of svag" if ell else "branch"
    group = Group(task(plan.task), data, runs, plan, stream, plan.evaluation_points, course)
    group.population.follow(plan.schedule, float(group.step_covers / plan.samples))
    if parent is not None:
        # l times the noise is the noise of an l^2 times smaller batch, also for what the optimizer holds.
        group.population.branch_from(parent, size / plan.base.batch_size / (ell**2 or 1),
                                     [course.excess(arm) if course
                                      else plan.arm(arm).excess(plan.base.batch_size) for arm, _ in runs])
    return group


@dataclass
class _Clock:
    """Samples done over all runs, and how fast."""

    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    said: float = 0.0
    window: list[tuple[float, int]] = field(default_factory=list)

    def tick(self, phase: str, samples: int) -> Progress | None:
        """Count samples; a Progress when it is time to say one, with the speed of the last seconds."""
        self.done += samples
        now = time.monotonic()
        if now - self.said < SAY_EVERY and self.done < self.total:
            return None
        self.said = now
        self.window = [*self.window[-25:], (now, self.done)]
        first, done_then = self.window[0]
        speed = (self.done - done_then) / (now - first) if now > first else self.done / max(now - self.began, 1e-9)
        return Progress(phase, self.done, self.total, speed)


class Group:
    """Runs that share a batch size, an l of SVAG and a device: one population, and one stream of samples per seed."""

    def __init__(self, about: Task, data: Data, runs: Sequence[Run], plan: CalibrationPlan, stream: str,
                 points: Sequence[int], course: Course | None = None):
        self.data = data
        self.plan, self.course = plan, course
        self.runs = list(runs)
        self.seeds = sorted({seed for _, seed in runs})
        self.hopeless = about.hopeless
        arms = [plan.arm(arm) for arm, _ in runs]
        self.step_covers = arms[0].samples_per_step
        self.population = Population(about, [arm.config for arm in arms], [seed for _, seed in runs], data.device,
                                     arms[0].svag, plan.size, stream)
        self.streams = [Stream(data, seed, stream) for seed in self.seeds]
        self.all_metrics_at = complete_points(points)
        self.probe = regime.Probe(data, self.seeds, points, plan.seeds[0], about.micro,
                                  followed=plan.follows and any(arm.group == "base" for arm in arms))
        self._index()

    def _index(self) -> None:
        """Which stream each model reads."""
        self.reads = torch.tensor([self.seeds.index(seed) for _, seed in self.runs], device=self.population.device)

    def draw(self, count: int) -> Batch:
        """The next ``count`` samples of every stream, [streams, count, ...]."""
        return Batch.joined([stream.take(count) for stream in self.streams], torch.stack)

    def measured(self, samples: int) -> Iterator[Measured]:
        """One Measured per run at ``samples`` seen, with its regime where it is time for that."""
        values = measuring.measure(self.population, self.data, judged_only=samples not in self.all_metrics_at)
        regimes = self.probe.measure(self.population, self.runs, self.reads, samples)
        for (arm, _), values_of_run in zip(self.runs, regimes, strict=True):
            if self.course and arm in (WARM_START, "base"):
                self.course.learn(samples + (arm == "base") * self.plan.warm_samples, values_of_run)
        for i, (arm, seed) in enumerate(self.runs):
            followed = {"lr_factor": self.course.lr_factor(arm, samples)} if self.course and self.plan.arm(arm).measured else {}
            yield Measured(arm, seed, samples,
                           {name: float(value[i]) for name, value in values.items()} | regimes[i] | followed)

    def follow(self, start: int, end: int) -> None:
        """Give the arms that follow the noise scale the hyperparameters of a stretch of samples, lr at every step of it."""
        if self.course is None or not any(self.plan.arm(arm).measured for arm, _ in self.runs):
            return
        followed = {arm: self.course.stretch(arm, start, end) for arm, _ in self.runs if self.plan.arm(arm).measured}
        tuned = [followed.get(arm, (config, None)) for (arm, _), config
                 in zip(self.runs, self.population.configs, strict=True)]
        self.population.retune(*zip(*tuned, strict=True))

    def end_diverged(self, worst: Tensor, samples: int) -> Iterator[Event]:
        """End the runs whose largest batch loss since the last point says that they diverged."""
        losses = worst.tolist()
        gone = [i for i, loss in enumerate(losses) if not loss < self.hopeless]
        for i in gone:
            arm, seed = self.runs[i]
            yield Measured(arm, seed, samples, {name: math.nan for name in self.population.task.metrics})
            what = "is not a number" if math.isnan(losses[i]) else f"reached {losses[i]:.4g}"
            limit = f" (ended above {self.hopeless:.4g})" if self.hopeless < math.inf else ""
            yield RunEnded(arm, seed, "DIVERGED", f"training loss {what} before {samples} samples{limit}")
        if gone:
            kept = [i for i in range(len(self.runs)) if i not in gone]
            self.runs = [self.runs[i] for i in kept]
            self.population.keep(kept)
            self._index()

    def finish(self) -> Iterator[RunEnded]:
        """Every run that is still there is done."""
        for arm, seed in self.runs:
            yield RunEnded(arm, seed, "DONE")


def _side_by_side(groups: list[list[Group]], points: tuple[int, ...], clock: _Clock, phase: str) -> Iterator[Event]:
    """Train from each of the ``points`` (samples seen, 0 first) to the next and measure there, every group before the next point.

    groups: of each kind those on the devices, which train at the same time; measured at 0 already.
    """
    for start, end in pairwise(points):
        for alike in groups:
            yield from _in_turns([_train(group, start, end, clock, phase) for group in alike if group.runs])


def _in_turns(several: Sequence[Iterator[Event | None]]) -> Iterator[Event]:
    """The events of several iterators, a piece of each in turn: a GPU works on while the others are given their pieces."""
    waiting = deque(several)
    while waiting:
        iterator = waiting.popleft()
        for event in iterator:
            if event is not None:
                yield event
            waiting.append(iterator)
            break


def _train(group: Group, start: int, end: int, clock: _Clock, phase: str) -> Iterator[Event | None]:
    """Train a group from ``start`` to ``end`` samples seen, then measure it; None is a piece of work with nothing to say."""
    population, drawn = group.population, group.population.drawn
    group.follow(start, end)
    worst = torch.zeros(len(population), device=population.device)
    steps, at_once = int((end - start) / group.step_covers), max(1, DRAW_AT_ONCE // drawn)
    a_call = population.executor.steps_at_once(population)
    for first in range(0, steps, at_once):
        count = min(at_once, steps - first)
        samples = group.draw(count * drawn)
        for i in range(0, count, a_call):
            now = min(a_call, count - i)
            piece = slice(i * drawn, (i + now) * drawn)
            losses = population.advance(samples.cut(slice(None), piece), group.reads, now,
                                        watch=first + i + now == steps)
            worst = torch.maximum(worst, losses)  # keeps a NaN
            yield clock.tick(phase, now * drawn * len(population))
    yield from group.end_diverged(worst, end)
    if group.runs:
        yield from group.measured(end)
