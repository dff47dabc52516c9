"""A group: the runs of a calibration that train and are measured as one, and all that it takes to go on with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ..plan import WARM_START, CalibrationPlan
from ..points import complete_points
from ..tasks import Batch, Data, Task
from . import measuring, regime
from .course import Course
from .events import Event, Measured, RunEnded, StepsMade
from .population import Population
from .streams import Stream

Run = tuple[str, int]  # arm and seed


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
        self.all_metrics_at, self.last_point = complete_points(points), points[-1]
        self.models, self.steps, self.seconds = len(runs), 0, 0.0  # at the start; made; that they took
        self.finished = False  # whether it was said that its runs are done
        self.measured_at = -1  # samples
        # Steps since then: made, and before the samples that are in use were drawn; where the streams stood at that.
        self.made, self.drawn_at = 0, 0
        self.positions: list[dict[str, Any]] = []
        self.probe = regime.Probe(data, self.seeds, points, plan.seeds[0], about.micro,
                                  followed=plan.follows and any(arm.group == "base" for arm in arms))
        self.worst = torch.zeros(len(runs), device=data.device)  # batch loss since then
        self._index()

    def _index(self) -> None:
        """Which stream each model reads."""
        self.reads = torch.tensor([self.seeds.index(seed) for _, seed in self.runs], device=self.population.device)

    def snapshot(self) -> dict[str, Any]:
        """All that :meth:`restore` needs."""
        return {"runs": [list(run) for run in self.runs], "finished": self.finished, "measured_at": self.measured_at,
                "made": self.made, "drawn_at": self.drawn_at, "worst": self.worst, "steps": self.steps, "seconds": self.seconds,
                "streams": self.positions or [stream.position() for stream in self.streams],
                "probe": [stream.position() for stream in self.probe.every_stream], "population": self.population.snapshot()}

    def restore(self, snapshot: Mapping[str, Any] | None) -> None:
        """Go on from where a group of the same runs stood."""
        if snapshot is None:
            return
        left = {(arm, seed) for arm, seed in snapshot["runs"]}
        self.keep([i for i, run in enumerate(self.runs) if run in left])
        self.population.restore(snapshot["population"])
        self.measured_at, self.made, self.drawn_at = (snapshot[name] for name in ("measured_at", "made", "drawn_at"))
        self.finished = snapshot.get("finished", False)
        self.steps, self.seconds, self.worst = snapshot["steps"], snapshot["seconds"], snapshot["worst"].to(self.worst.device)
        for streams, positions in ((self.streams, snapshot["streams"]), (self.probe.every_stream, snapshot["probe"])):
            for stream, position in zip(streams, positions, strict=True):
                stream.move_to(position)

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all runs but these."""
        if len(rows) < len(self.runs):
            self.runs = [self.runs[i] for i in rows]
            self.population.keep(rows)
            self._index()

    def draw(self, count: int) -> Batch:
        """The next ``count`` samples of every stream, [streams, count, ...]."""
        return Batch.joined([stream.take(count) for stream in self.streams], torch.stack)

    def expect(self, samples: Batch, further: bool) -> None:
        """Tell the network which samples come next, where it loads them; further: also those of the first step after these."""
        population = self.population
        if population.network.loads:
            after = [Batch.joined([stream.ahead(population.drawn) for stream in self.streams], torch.stack)] if further else []
            population.expect(Batch.joined([samples, *after], lambda x: torch.cat(x, 1)), self.reads)

    def measured(self, samples: int) -> Iterator[Measured]:
        """One Measured per run at ``samples`` seen, with its regime where it is time for that; none where that is done."""
        if samples <= self.measured_at:
            return
        values = measuring.measure(self.population, self.data, judged_only=samples not in self.all_metrics_at)
        regimes = self.probe.measure(self.population, self.runs, self.reads, samples)
        for (arm, _), values_of_run in zip(self.runs, regimes, strict=True):
            if self.course and arm in (WARM_START, "base"):
                self.course.learn(samples + (arm == "base") * self.plan.warm_samples, values_of_run)
        self.measured_at, self.made, self.drawn_at = samples, 0, 0
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

    def end_diverged(self, samples: int) -> Iterator[Event]:
        """End the runs whose largest batch loss since the last point says that they diverged."""
        losses = self.worst.tolist()
        gone = [i for i, loss in enumerate(losses) if not loss < self.hopeless]
        for i in gone:
            arm, seed = self.runs[i]
            yield Measured(arm, seed, samples, {name: math.nan for name in self.population.task.metrics})
            what = "is not a number" if math.isnan(losses[i]) else f"reached {losses[i]:.4g}"
            limit = f" (ended above {self.hopeless:.4g})" if self.hopeless < math.inf else ""
            yield RunEnded(arm, seed, "DIVERGED", f"training loss {what} before {samples} samples{limit}")
        self.keep([i for i in range(len(self.runs)) if i not in gone])

    def finish(self) -> Iterator[Event]:
        """Every run that is still there is done; said once."""
        if self.finished:
            return
        self.finished = True
        population = self.population
        if self.steps:
            yield StepsMade(population.stream, population.batch_size, self.models, str(population.device),
                            population.executor.name, population.executor.carried_out(), self.steps,
                            1000 * self.seconds / self.steps)
        for arm, seed in self.runs:
            yield RunEnded(arm, seed, "DONE")
