"""The way on from a calibration that can tell nothing or can't be run: the same question at the task's own batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import streamlit as st

from ..plan import trainable
from ..rules import RUN_FIELDS, DecayForm, TrainingConfig, family, scale
from ..rules.clock import warmup_length
from ..schedules import schedule_of
from ..tasks import Task
from . import inputs, tables
from .inputs import Inputs, format_number

BETAS = ("beta1", "beta2")


def remedy(about: Task, given: Inputs) -> Inputs | None:
    """The user's kappa, decays and form at the task's own base batch, where learning rates of the task's own fit.

    kappa is smaller where the target would reach the task's noise scale or its data; decays by half-life where the linear ones
    have no number. None where that is what is given already, or where base and target are the same.
    """
    base = _to_own_batch(about, given)
    target = _target(about, given.target_batch / given.config.batch_size)
    forms: tuple[DecayForm, ...] = (given.decay_form, "half-life")
    for form in forms:
        changed = Inputs(base, target, form, given.momentum_form, given.correct_lr)
        if scale(*changed).complete:
            return None if target == base.batch_size or changed == given._replace(noise_scale=None) else changed
    return None


def title(instead: Inputs) -> str:
    """What the button says."""
    kappa = format_number(instead.target_batch / instead.config.batch_size)
    return f"Test κ = {kappa} at {instead.config.batch_size} → {instead.target_batch} instead"


def button(about: Task, given: Inputs, key: str = "remedy") -> None:
    """The button that opens Calibrate with the remedy; nothing where there is none."""
    instead = remedy(about, given)
    if instead is None:
        return
    same = instead.target_batch * given.config.batch_size == given.target_batch * instead.config.batch_size
    form = " by half-life" if instead.decay_form != given.decay_form else ""
    if st.button(title(instead), type="primary", icon=":material/alt_route:", key=key,
                 help=f"{'Your κ and decays' if same else 'Your decays, and a κ that fits'}{form}, at the batch and the learning "
                      f"rate that suit {tables.escaped(about.title)}."):
        st.switch_page("pages/calibrate.py", query_params=inputs.texts_of(instead))
    left = left_out(given, instead)
    if left:
        st.caption(f"Left out there: {tables.escaped(', '.join(left))}.")


def _target(about: Task, kappa: float) -> int:
    """The target batch nearest to kappa that the task can test, in whole micro-batches."""
    own, unit = about.defaults.base.batch_size, about.micro or 1
    most = min(about.train_size, about.noise_scale.safe_batch) if about.noise_scale else about.train_size
    while kappa > 1 and own * kappa > most:
        kappa = 2 ** ((most // own).bit_length() - 1) if most >= own else 1
    return max(unit, round(own * kappa / unit) * unit)


def at_own_batch(about: Task, config: TrainingConfig) -> bool:
    """True where batch and learning rate are the task's own, as the button makes them."""
    own = about.defaults.base
    return (config.batch_size, config["lr"]) == (own.batch_size, own["lr"])


def left_out(given: Inputs, instead: Inputs) -> list[str]:
    """Labels of what the user's configuration has and the remedy does not."""
    kept = instead.config.of_the_run()
    unsaid = ("total_steps", "loss_reduction")  # a calibration has its own length, and takes the mean
    names = [RUN_FIELDS[name].label for name in given.config.of_the_run() if name not in (*kept, *unsaid)]
    return names + ["Parameter groups"] * bool(given.config.groups)


def _to_own_batch(about: Task, given: Inputs) -> TrainingConfig:
    """The user's optimizer as it can be trained, else the task's own with the user's betas; at the task's own batch."""
    own, user = about.defaults.base, trainable(given.config)
    if user is None:
        betas = {name: given.config[name] for name in BETAS if name in given.config.hyperparameters}
        return replace(own, hyperparameters={**own.hyperparameters, **betas}, **_scheduled(given.config, own["lr"]))
    if family(user.optimizer).rule == family(own.optimizer).rule:
        rate = own["lr"]
    else:  # the task's own is of another kind: the user's, moved by its own rule
        rate = next(row.scaled for row in scale(user, own.batch_size, "half-life").fields if row.name == "lr")
    return replace(user, batch_size=own.batch_size, hyperparameters={**user.hyperparameters, "lr": rate}, warmup_steps=None,
                   **_scheduled(given.config, rate, user.run))


def _scheduled(given: TrainingConfig, rate: float, kept: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The fields of the run: those kept, and the user's schedule with the same shape at another learning rate.

    Without its warm-up, which would be longer than a calibration and which a warm start has behind it.
    """
    if schedule_of(given) is None:
        return {"run": kept, "total_steps": None}
    run, total = given.run, given.total_steps or 0
    warmup = round(warmup_length(given)) if total else 0
    shape = {name: run[name] for name in ("schedule", "milestone_factor") if name in run}
    if "min_lr" in run:
        shape["min_lr"] = run["min_lr"] / given["lr"] * rate
    if total <= warmup:  # nothing is known of its length
        return {"run": {**kept, **shape}, "total_steps": None}
    if "decay_steps" in run:
        shape["decay_steps"] = run["decay_steps"]
    if milestones := tuple(step - warmup for step in run.get("milestones", ()) if warmup < step < total):
        shape["milestones"] = milestones
    return {"run": {**kept, **shape}, "total_steps": total - warmup}
