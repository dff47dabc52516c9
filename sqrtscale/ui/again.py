"""What the Calibrate form opens with: the plan of a calibration that is run again, or what was typed on Scale."""

from __future__ import annotations

import streamlit as st

from ..plan import CalibrationPlan
from ..rules import FieldError
from ..schedules import CONSTANT
from ..store import NotFound, Store
from ..tasks import OwnTask, remember, task
from . import forms, launch
from .inputs import Inputs, carried, texts_of
from .state import put
from .tables import escaped

BUDGET, OF_THE_TASK = "budget", "task"  # in the address: that start and samples are the task's own, not those of the plan
TAKEN, PLAN = "taken from", "plan taken"  # the id whose plan fills the form, and that plan


def open_form(store: Store) -> None:
    """Once for a visit: fill the form with the plan that the address names, or put into the address what was typed on Scale.

    The address keeps it when the page is loaded anew, and can be sent to somebody.
    """
    id = st.query_params.get(launch.AGAIN)
    new = "task" not in st.session_state
    if id and (new or st.session_state.get(TAKEN) != id):
        _take_up(store, id)
    elif new and not st.query_params:
        st.query_params.update(forms.typed_address())
    if id and id == st.session_state.get(TAKEN):
        _own_task(st.session_state[PLAN])


def _take_up(store: Store, id: str) -> None:
    """The whole plan of that calibration into the form, every choice still free."""
    try:
        plan = store.get(id).plan
    except NotFound:
        st.error("There is no calibration with the id of this address to run again. It may have been removed for good.")
    except FieldError as error:  # its task is gone, or today's rules refuse its plan
        st.error(escaped(str(error)), title="This calibration cannot be run again by this version of sqrtscale")
    else:
        forms.keep(texts_of(inputs_of(plan)))
        choices = _choices(plan)
        if carried(st.query_params.to_dict()):  # another transfer, by this plan: other batches were chosen for the old one
            choices["targets"] = ""
        if st.query_params.get(BUDGET) == OF_THE_TASK:
            defaults = task(plan.task).defaults
            choices |= {"start": "warm", f"start-{plan.task}": "warm", f"warm-{plan.task}": defaults.warm_samples,
                        f"samples-{plan.task}": defaults.samples}
        put(choices)
        st.session_state.update({TAKEN: id, PLAN: plan})  # last: it says that the rest is done


def _own_task(plan: CalibrationPlan) -> None:
    """A task of the user's own as the plan has it: the same text may have been checked with another checkpoint since.

    One that was added is offered as it was added; where that is from another checkpoint, this says so.
    """
    if plan.own is None:
        return
    name = launch.own_name(plan.task)
    if name == plan.task:
        remember(plan.own, renew=True)
        return
    added = task(name)
    now = added.file.facts.checkpoint if isinstance(added, OwnTask) else None
    if plan.checkpoint and (now is None or now.sha256 != plan.checkpoint.sha256):
        st.warning(escaped(f"That calibration branched from the checkpoint {plan.checkpoint.words}. The task {name} was added "
                           f"{f'with {now.words}' if now else 'without a checkpoint'}, so this form cannot start there: the "
                           "command of the result can, or add the task again."))


def inputs_of(plan: CalibrationPlan) -> Inputs:
    """The transfer that a plan tests."""
    return Inputs(plan.base, plan.target_batch, plan.decay_form, plan.momentum_form, plan.correct_lr)


def _choices(plan: CalibrationPlan) -> dict[str, object]:
    """What each widget of the form holds, by its key, where the form makes that plan."""
    usual, controls = launch.usual_controls(inputs_of(plan))
    further = [arm for arm in plan.arms if arm.group == "rule" and arm.config.batch_size != plan.target_batch]
    names = [arm.name for arm in plan.arms if arm not in further and arm.name not in ("base", "scaled")]
    own = names.pop().removeprefix(launch.OWN_ARM) if names and names[-1].startswith(launch.OWN_ARM) else ""
    return {
        "task": launch.own_name(plan.task), f"size-{plan.task}": plan.size, "source": launch.OWN,
        controls: [name for name in names if name in usual],
        "more-arms": [name for name in names if name not in usual],
        "own-arm": own, "targets": " ".join(str(arm.config.batch_size) for arm in further), "reuse": plan.reuse,
        f"seeds-{plan.task}": len(plan.seeds), f"samples-{plan.task}": plan.samples,
        "start": "warm" if plan.checkpoint else plan.start, f"start-{plan.task}": plan.start, f"source-{plan.task}": launch.OWN,
        f"evaluations-{plan.task}": plan.evaluations, "go-on": plan.go_on,
        "device": plan.device, f"early-{plan.device}": plan.stop_early, f"schedule-{CONSTANT}": str(plan.schedule),
    } | ({f"warm-{plan.task}": plan.warm_samples} if plan.start == "warm" else {})
