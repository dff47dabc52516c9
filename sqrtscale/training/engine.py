"""The calibration: a warm start at the base configuration, or the user's checkpoint, then every arm from there, side by side.

The generator says what happens (Measured, RunEnded, Progress, Branched, SeedsEnded, Resumable) and whoever iterates decides what
to do with it; closing it is how a calibration is cancelled, or ended early. It knows no database, no process and no file. Going
on from a snapshot is the same way through, past what is done already.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, pairwise
from typing import Any, TypeVar

import torch

from ..plan import WARM_START, CalibrationPlan
from ..rules import FieldError
from ..tasks import Data, task
from . import saved
from .course import Course
from .device import fast_settings, resolve, warm_place
from .events import Branched, Event, Progress, SeedsEnded
from .executors import choose
from .group import Group, Run
from .memory import seed_parts
from .standing import Clock, Stand
from .streams import DRAW_AT_ONCE, DrawnOnce

BRANCH = "branch"  # the stream of every arm that is paired with base
OnDevice = TypeVar("OnDevice", bound=Data)


def calibrate(plan: CalibrationPlan, stored: Collection[tuple[str, int]] = (), snapshot: Mapping[str, Any] | None = None
              ) -> Generator[Event, None, None]:
    """Train every run of the plan but those (arm, seed) that are ``stored`` already; yields events as they happen.

    The warm start is trained whenever an arm is, unless the snapshot has its end; base's runs must not be stored where an
    arm that follows them is not. snapshot: what a Resumable of the same plan and ``stored`` gave, to go on from there. Raises
    FieldError when a device of the plan is not there. Arms advance together from one evaluation point to the next, so that their
    curves grow side by side; the models of each batch size are spread over the devices.
    """
    devices = resolve(plan.device)
    arms = {run: plan.arm(run[0]) for run in plan.runs if run not in stored}
    if not arms:
        return
    about = task(plan.task)
    data = [DrawnOnce(about.data(device)) for device in devices]
    for name, split in (("validation", data[0].validation), ("train_sample", data[0].train_sample)):
        if split.count() < (about.micro or 1):
            raise FieldError("micro", about.micro, f"is more than the {split.count()} samples of {name} of task {about.name}: "
                                                   "give the task more of them, or a smaller micro-batch")
    arms.pop((WARM_START, plan.seeds[0]), None)
    clock = Clock(total=plan.warm_samples + plan.samples * sum(arm.work for arm in arms.values()))
    places = {warm_place(plan, devices[0]), *devices}
    with fast_settings(about, on_cpu=any(place.type == "cpu" for place in places)):
        network, optimizer = about.network(plan.size), plan.base.optimizer
        if not all(choose(network, optimizer, place).starts_at_once() for place in places):
            yield Progress("compiling the training step, once", 0, clock.total, 0.0)
        stand = Stand(clock, Course(plan) if plan.follows else None)
        if plan.start == "warm":
            stand.warm = warm_group(plan, data[0].source, stand.course)
        elif plan.start == "checkpoint":  # also where it goes on: the plan knows the file by its hash
            stand.parent = saved.branch_point(plan, about, devices[0])
        stand.restore(snapshot)
        if stand.warm:
            samples = 0 if stand.parts else plan.samples  # past the branch point nobody waits
            with _drawing_ahead(data, plan, list(arms), samples):
                yield from _warm_start(stand.warm, stand)
            stand.parent = stand.warm.population
        stand.parts = stand.parts or seed_parts(plan, devices)
        for first, end in stand.parts[stand.ended :]:
            yield stand.resumable(measured=True)
            yield from _part(plan, data, [run for run in arms if run[1] in plan.seeds[first:end]], stand)
            stand.ended += 1
            if end in plan.looks[:-1]:
                yield SeedsEnded(end)


def warm_group(plan: CalibrationPlan, data: Data, course: Course | None = None) -> Group:
    """The warm start's one run, on the data's device or, where it is too small for that, on the CPU."""
    about, place = task(plan.task), warm_place(plan, data.device)
    samples = data if place == data.device else about.data(place)
    return Group(about, samples, [(WARM_START, plan.seeds[0])], plan, "warm start", plan.warm_points, course)


def _warm_start(group: Group, stand: Stand) -> Iterator[Event]:
    """Train base to the branch point."""
    yield from group.measured(0)
    yield from _side_by_side([[group]], group.plan.warm_points, stand, WARM_START)
    if not group.runs:
        raise RuntimeError("the warm start diverged: the base configuration does not train this task, "
                           "so there is nothing to compare; lower the base learning rate")
    if not stand.parts:
        yield from group.finish()
    group.population.executor.forget()


@contextmanager
def _drawing_ahead(data: Sequence[DrawnOnce], plan: CalibrationPlan, runs: Sequence[Run], samples: int) -> Iterator[None]:
    """Inside, the first samples of the runs are drawn where they will train."""
    paired = [alike for (_, ell), alike in kinds(plan, runs) if not ell]
    with ExitStack() as stack:
        for part, share in spread(paired[0], data) if paired else ():
            stack.enter_context(part.drawing_ahead(sorted({seed for _, seed in share}), BRANCH, samples))
        yield


def _part(plan: CalibrationPlan, data: Sequence[DrawnOnce], runs: list[Run], stand: Stand) -> Iterator[Event]:
    """Runs of the arms that train at the same time, from the branch point to the end; their memory is the next part's."""
    kept, stand.groups = iter(stand.kept), []
    for kind, alike in kinds(plan, runs):
        stand.groups.append([_branched(part, share, plan, kind, stand) for part, share in spread(alike, data)])
        for group in stand.groups[-1]:  # base first: what it measures there says how the others branch that follow it
            group.restore(next(kept, None))
            yield from group.measured(0)
    stand.kept = []
    yield Branched()
    yield from _side_by_side(stand.groups, plan.evaluation_points, stand, "arms", data)
    for group in chain(*stand.groups):  # where an earlier version has taken the snapshot
        yield from group.finish()
    stand.groups = []


def kinds(plan: CalibrationPlan, runs: Sequence[Run]) -> Iterator[tuple[tuple[int, int], list[Run]]]:
    """((batch size, l of SVAG), its runs): what can train in one population; base's first."""
    kind_of = {run: (plan.arm(run[0]).config.batch_size, plan.arm(run[0]).svag) for run in runs}
    for kind in sorted(set(kind_of.values()), key=lambda kind: (kind != (plan.base.batch_size, 0), kind)):
        yield kind, [run for run in runs if kind_of[run] == kind]


def spread(runs: Sequence[Run], data: Sequence[OnDevice]) -> Iterator[tuple[OnDevice, Sequence[Run]]]:
    """(data on one device, the runs that train there): as equal as can be, the first largest, no device without a run.

    A seed is on as few devices as can be, because each draws its samples.
    """
    by_seed, parts = sorted(runs, key=lambda run: run[1]), min(len(data), len(runs))
    cuts = [-(-len(runs) * i // parts) for i in range(parts + 1)]
    for part, (first, end) in zip(data, pairwise(cuts), strict=False):
        share = set(by_seed[first:end])
        yield part, [run for run in runs if run in share]


def _branched(data: DrawnOnce, runs: Sequence[Run], plan: CalibrationPlan, kind: tuple[int, int], stand: Stand) -> Group:
    """The group of these runs at its start: the warm start's weights and optimizer, or none from scratch."""
    (size, ell), course = kind, stand.course
    # A stream of its own: SVAG draws more samples for the same time, so it cannot be paired with base.
    stream, samples = (f"l={ell} of svag", data.source) if ell else (BRANCH, data)
    group = Group(task(plan.task), samples, runs, plan, stream, plan.evaluation_points, course)
    group.population.follow(plan.schedule, float(group.step_covers / plan.samples))
    if stand.parent is not None:
        # l times the noise is the noise of an l^2 times smaller batch, also for what the optimizer holds.
        group.population.branch_from(stand.parent, size / plan.base.batch_size / (ell**2 or 1),
                                     [course.excess(arm) if course
                                      else plan.arm(arm).excess(plan.base.batch_size) for arm, _ in runs])
    return group


def _side_by_side(groups: list[list[Group]], points: tuple[int, ...], stand: Stand, phase: str,
                  shared: Sequence[DrawnOnce] = ()) -> Iterator[Event]:
    """Train from each of the ``points`` (samples seen, 0 first) to the next and measure there, every group before the next point.

    groups: of each kind those on the devices, which train at the same time; measured at 0 already; shared: what they draw from.
    """
    for start, end in pairwise(points):
        for alike in groups:
            behind = [group for group in alike if group.runs and group.measured_at < end]
            for event in _in_turns([_train(group, start, end, stand.clock, phase) for group in behind]):
                if event is not None:
                    yield event
                yield stand.resumable(measured=False)
            for group in behind:
                yield from group.end_diverged(end)
                if group.runs:
                    yield from group.measured(end)
                    if end == points[-1] and phase == "arms":  # others train on for long, and it can be reused at once
                        yield from group.finish()
        for drawn in shared:
            drawn.let_go()
        yield stand.resumable(measured=True)


def _in_turns(several: Sequence[Iterator[Event | None]]) -> Iterator[Event | None]:
    """What several iterators yield, a piece of each in turn: a GPU works on while the others are given their pieces."""
    waiting = deque(several)
    while waiting:
        iterator = waiting.popleft()
        for event in iterator:
            yield event
            waiting.append(iterator)
            break


def _train(group: Group, start: int, end: int, clock: Clock, phase: str) -> Iterator[Event | None]:
    """Train a group from ``start`` to ``end`` samples seen, from where it stands between; None is a piece with nothing to say."""
    population, drawn = group.population, group.population.drawn
    group.follow(start, end)
    began = time.perf_counter()
    if not group.made:
        group.worst = torch.zeros(len(population), device=population.device)
    steps, at_once = int((end - start) / group.step_covers), max(1, DRAW_AT_ONCE // drawn)
    a_call = population.executor.steps_at_once(population)
    # A snapshot in the middle of what is drawn at once draws it again: the calls must be the same ones, to the last bit.
    for first in range(group.drawn_at, steps, at_once):
        count = min(at_once, steps - first)
        group.positions = [stream.position() for stream in group.streams]
        samples = group.draw(count * drawn)
        group.expect(samples, further=first + count < steps or end < group.last_point)
        for i in range(group.made - first, count, a_call):
            now = min(a_call, count - i)
            piece = slice(i * drawn, (i + now) * drawn)
            losses = population.advance(samples.cut(slice(None), piece), group.reads, now,
                                        watch=first + i + now == steps)
            group.worst = torch.maximum(group.worst, losses)  # keeps a NaN
            group.made += now
            group.steps += now
            if i + now == count:
                group.drawn_at, group.positions = group.made, []
            yield clock.tick(phase, now * drawn * len(population))
            ended = time.perf_counter()
            group.seconds, began = group.seconds + ended - began, ended
    group.worst = group.worst.cpu()  # waits for the device
    group.seconds += time.perf_counter() - began
