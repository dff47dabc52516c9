"""``sqrtscale calibrate``: queue a calibration, and wait for it if asked."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..plan import CalibrationPlan, make_plan
from ..schedules import schedule
from ..tasks import task
from . import configuration, tasks
from .runs import print_record
from .shared import open_store

if TYPE_CHECKING:
    from ..store import CalibrationRecord


def plan_of(options: argparse.Namespace) -> CalibrationPlan:
    """The plan that the options say; raises FieldError for what cannot be run."""
    name = tasks.named(options.task, options.device, options.checkpoint)
    defaults, start = task(name).defaults, tasks.start_of(options, name)
    base, target = configuration.over(defaults.base, options), options.target
    if target is None and options.targets:  # a text among them is refused by name below
        target = max(options.targets, key=lambda batch: (isinstance(batch, str), batch))
    elif target is None:  # the task's kappa
        target = base.batch_size * defaults.target_batch // defaults.base.batch_size
    plan = make_plan(
        name, base, target,
        arms=options.arms, targets=options.targets, seeds=options.seeds, samples=options.samples, start=start,
        warm_samples=options.warm_samples, device=options.device, reuse=not options.no_reuse,
        stop_early=bool(options.stop_early), size=options.size,
        decay_form=options.decay_form, momentum_form=options.momentum_form, correct_lr=options.correct_lr,
        schedule=schedule(options.schedule), evaluations=options.evaluations, go_on=options.go_on)
    if options.stop_early is None:
        from ..runner.device import occupied

        plan = replace(plan, stop_early=occupied(plan.device) == ("cpu",))
    return plan


def run_calibrate(options: argparse.Namespace) -> int:
    """``sqrtscale calibrate``"""
    plan = plan_of(options)
    from .. import runner  # loads pandas and sqlalchemy: only once the plan is known to be good

    with open_store(prompt=False) as store:
        id = runner.submit(store, plan, options.name, options.resume_after_restart)
        if not options.wait:
            print(json.dumps({"id": id}) if options.json else f"{id} is queued: sqrtscale runs show {id}")
            return 0
        print(f"{id} is queued", file=sys.stderr)
        try:
            record = runner.wait(store, id, on_progress=_progress())
        except KeyboardInterrupt:
            print(f"\nstopped waiting, {id} goes on: sqrtscale runs show {id}, sqrtscale runs cancel {id}", file=sys.stderr)
            return 1
        if sys.stderr.isatty():
            print(file=sys.stderr)
        print_record(store, record, options.json)
        return 0 if record.state == "DONE" else 1


def _progress() -> Callable[[CalibrationRecord], None]:
    """Says how far a calibration is: one line that renews itself on a terminal, a line for every tenth in a log."""
    said = None

    def say(record: CalibrationRecord) -> None:
        nonlocal said
        speed = f", {record.samples_per_second:,.0f} samples/s" if record.samples_per_second else ""
        line = f"{record.state:<10} {record.progress:6.1%} {record.phase}{speed}"
        now = (record.state, record.phase, int(10 * record.progress))
        if sys.stderr.isatty():
            print(f"\r{line}   ", end="", file=sys.stderr, flush=True)
        elif now != said:
            print(line, file=sys.stderr, flush=True)
        said = now

    return say
