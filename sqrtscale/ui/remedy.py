"""The way on from a calibration that can tell nothing or can't be run: the same question at the task's own batch."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from ..plan import trainable
from ..rules import DecayForm, TrainingConfig, family, scale
from ..tasks import Task
from . import inputs
from .inputs import Inputs, format_number

BETAS = ("beta1", "beta2")


def remedy(about: Task, given: Inputs) -> Inputs | None:
    """The user's kappa, decays and form at the task's own base batch, where learning rates of the task's own fit.

    kappa is smaller where the target would reach the task's noise scale or its data; decays by half-life where the linear ones
    have no number. None where that is what is given already, or where base and target are the same.
    """
    base = _at_own_batch(about, given)
    target = _target(about, given.target_batch / given.config.batch_size)
    forms: tuple[DecayForm, ...] = (given.decay_form, "half-life")
    for form in forms:
        changed = Inputs(base, target, form, given.momentum_form, given.correct_lr)
        if scale(*changed).complete:
            return None if target == base.batch_size or changed == given else changed
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
                      f"rate that suit {about.title}."):
        st.switch_page("pages/calibrate.py", query_params=inputs.texts_of(instead))


def _target(about: Task, kappa: float) -> int:
    """The target batch nearest to kappa that the task can test, in whole micro-batches."""
    own, unit = about.defaults.base.batch_size, about.micro or 1
    most = min(about.train_size, about.noise_scale.safe_batch) if about.noise_scale else about.train_size
    while kappa > 1 and own * kappa > most:
        kappa = 2 ** ((most // own).bit_length() - 1) if most >= own else 1
    return max(unit, round(own * kappa / unit) * unit)


def _at_own_batch(about: Task, given: Inputs) -> TrainingConfig:
    """The user's optimizer as it can be trained, else the task's own with the user's betas; at the task's own batch."""
    own, user = about.defaults.base, trainable(given.config)
    if user is None:
        betas = {name: given.config[name] for name in BETAS if name in given.config.hyperparameters}
        return replace(own, hyperparameters={**own.hyperparameters, **betas})
    if family(user.optimizer).rule == family(own.optimizer).rule:
        rate = own["lr"]
    else:  # the task's own is of another kind: the user's, moved by its own rule
        rate = next(row.scaled for row in scale(user, own.batch_size, "half-life").fields if row.name == "lr")
    return replace(user, batch_size=own.batch_size, hyperparameters={**user.hyperparameters, "lr": rate}, total_steps=None,
                   warmup_steps=None)
