"""The light before Launch: what a calibration can tell, and the way on where it can tell nothing or can't be run."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from ..arms import FOLLOWING, KINDS
from ..plan import CalibrationPlan
from ..report.foresight import Foresight, Known, Level, foresee, learnt, newest_alike
from ..rules import FieldError, family
from ..store import CalibrationRecord, DamagedChunk, Store
from ..tasks import Task, task
from . import forms, launch, noise_chart, remedy
from .inputs import Inputs
from .state import put
from .tables import greek, sentence


class Light(NamedTuple):
    """title: the level in words; icon: a shape of its own, so that colour is not all there is."""

    title: str
    icon: str


LIGHTS: dict[Level, Light] = {
    "good": Light("This can test the rule", ":material/check_circle:"),
    "doubtful": Light("This may not decide", ":material/help:"),
    "another": Light("This tests the noise-aware transfer, not the rule", ":material/graphic_eq:"),
    "hopeless": Light("This would not test the rule", ":material/block:"),
}
BOXES = {"good": st.success, "doubtful": st.warning, "another": st.info, "hopeless": st.error}
OF_THE_RUNS = ("seeds", "samples", "warm_samples", "arms", "targets", "schedule", "device", "size", "start")


def show(store: Store, plan: CalibrationPlan, given: Inputs) -> Foresight:
    """The light of a plan; where it is hopeless with the button for the test that the task can make instead."""
    known = _known(store, plan)
    seen = foresee(plan, known)
    light = LIGHTS[seen.level]
    BOXES[seen.level](greek(" ".join(seen.sentences)), title=light.title, icon=light.icon)
    if (seen.level == "hopeless" or plan.start == "scratch") and _can_be_noise_aware(plan):
        st.button("Test the noise-aware transfer as well", on_click=_add_noise_aware, icon=":material/graphic_eq:",
                  help=sentence(KINDS[FOLLOWING].description))
    if seen.level == "hopeless":
        remedy.button(task(plan.task), given)
    if known.noise_scale is not None:
        noise_chart.show(plan, known.noise_scale)
    return seen


def _can_be_noise_aware(plan: CalibrationPlan) -> bool:
    return family(plan.base.optimizer).follows_noise_scale and not any(arm.group == "noise-aware" for arm in plan.arms)


def _add_noise_aware() -> None:
    put({"more-arms": [*st.session_state.get("more-arms", ()), FOLLOWING]})


def refusal(error: FieldError, about: Task, given: Inputs) -> None:
    """Why a calibration can't be run, and the way on where the configuration is the reason."""
    label = launch.MARKED.get(error.field)
    st.error(forms.marked([label]) if label else sentence(str(error)), title="This cannot be run")
    if error.field not in OF_THE_RUNS:
        remedy.button(about, given)


def _known(store: Store, plan: CalibrationPlan) -> Known:
    record = newest_alike(store, plan)
    if record is not None:
        try:
            return _learnt(store, record, record.id, store.curves_version(record.id))
        except DamagedChunk:  # Results says so; the task's own noise scale will do here
            pass
    return Known(task(plan.task).noise_scale)


@st.cache_data(max_entries=50, show_spinner=False)
def _learnt(_store: Store, _record: CalibrationRecord, id: str, version: str) -> Known:
    """What a stored calibration has shown, computed once for every version of its points."""
    return learnt(_record, _store.curves(id))
