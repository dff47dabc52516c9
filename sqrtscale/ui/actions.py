"""What to do next with a calibration, as buttons at its top: those that fit its verdict, the one that it asks for first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import streamlit as st

from .. import runner
from ..arms import FOLLOWING, Arm, make_arm
from ..evidence import Regime, Verdict
from ..plan import MOST_SEEDS, CalibrationPlan
from ..report import was_stopped
from ..rules import FieldError, family
from ..rules.stability import beta1_floor, moved_sharpness, stability_limit
from ..runner.rescued import goes_on
from ..runner.restarts import can_go_on
from ..store import RESUMABLE_STATES, CalibrationRecord, Store
from ..tasks import task
from . import again, answer, compare_link, launch, remedy
from .inputs import Inputs, format_number, texts_of
from .tables import escaped
from .timing import duration

MOST = 4  # buttons
ROUNDING = 1e-6
MORE_SEEDS = 5  # where nobody knows how many would decide


@dataclass(frozen=True)
class Action:
    """A button: what it says, what happens, and in a sentence what that means and how long it takes."""

    label: str
    icon: str
    act: Callable[[], None]
    means: str = ""


class Measured(NamedTuple):
    """What is known of base's gradients and of its loss: as for ``show``."""

    regime: Regime | None
    sharpness: float | None


def show(store: Store, record: CalibrationRecord, verdicts: Mapping[str, Verdict], measured: Mapping[str, Regime],
         sharpness: float | None = None) -> None:
    """At most four buttons, the first one primary once the calibration has ended; none of a deleted one, which is brought back.

    verdicts, measured: as ``report.verdicts`` and ``report.regimes`` gave them, empty before the end; sharpness: of base's loss,
    in the metric of its preconditioner, where it was measured.
    """
    if record.deleted_at:
        return
    known = Measured(measured.get("scaled"), sharpness)
    first = _asked_for(store, record, verdicts, known) if record.final else []
    matches = bool(first) and first[0].label == USE
    compares = "scaled" in verdicts and not was_stopped(record)
    rest = [*([_compare(record)] if compares else []), _calibrate_again(record), *([] if matches else [_in_scale(record)])]
    every = list({action.label: action for action in (*first, *rest)}.values())
    with st.container(horizontal=True):
        for place, action in enumerate(every[: MOST - matches]):
            primary = place == 0 and bool(first)
            if st.button(action.label, type="primary" if primary else "secondary", icon=action.icon, help=action.means or None,
                         key=f"action-{action.label}"):
                action.act()
            if matches and place == 0:
                with st.popover("Copy them", icon=":material/content_copy:"):
                    _take_away(record.plan)
    if first and first[0].means:
        st.caption(f"**{first[0].label}**: {first[0].means}")
    if can_go_on(record):
        _after_a_restart(store, record)


def _after_a_restart(store: Store, record: CalibrationRecord) -> None:
    """The choice whether it goes on by itself, as it is stored."""
    key = f"resume-after-restart-{record.id}"
    st.session_state[key] = record.resume_after_restart  # also where it was changed elsewhere
    st.toggle(launch.RESTART, key=key, help=launch.RESTART_HELP,
              on_change=lambda: store.set_resume_after_restart(record.id, st.session_state[key]))


USE = "Use these values"
NOISE_AWARE = "Test noise-aware"
USE_NOISE_AWARE = "Use the noise-aware values"


def _asked_for(store: Store, record: CalibrationRecord, verdicts: Mapping[str, Verdict], known: Measured) -> list[Action]:
    """What the end, or the verdict on the full rule at the target batch, asks for; the first one is the primary button."""
    plan, scaled, regime = record.plan, verdicts.get("scaled"), known.regime
    try_again = _start(store, record, "Try again", ":material/replay:", plan,
                   "the same plan; runs that were trained to their end are taken from the store")
    if record.state in RESUMABLE_STATES:
        return [*_go_on(store, record), try_again]
    if record.state != "DONE" or scaled is None or scaled.reason == "no pairs":
        return [try_again]
    if scaled.outcome == "matches":
        return [Action(USE, ":material/check:", partial(_scale, again.inputs_of(plan)),
                       "opens Scale with this configuration, for every library and format.")]
    if scaled.reason == "signal dominates":
        on = [_start(store, record, "Go on anyway", ":material/play_arrow:", replace(plan, go_on=True), "trains the arms all the "
                     "same; the verdict will most likely stay *not a test*")] if was_stopped(record) else []
        return [*_use_noise_aware(record, verdicts, regime), *_higher_beta1(store, record, verdicts, known),
                *(_smaller_batches(record, regime) or [_calibrate_again(record)]), *_noise_aware(store, record, regime), *on]
    if scaled.outcome == "differs":
        return [*(_smaller_kappa(record) or [_calibrate_again(record)]), *_higher_beta1(store, record, verdicts, known)]
    if scaled.further_seeds is None and scaled.reason != "diverged":  # seeds would not decide
        return [_start(store, record, "Train twice as long", ":material/update:", replace(plan, samples=2 * plan.samples),
                       f"{2 * plan.samples:,} samples a run, all trained anew")]
    return _more_seeds(store, record, scaled.further_seeds or MORE_SEEDS)


def _go_on(store: Store, record: CalibrationRecord) -> list[Action]:
    """Training goes on where the last snapshot was taken; empty without one."""
    def act() -> None:
        try:
            runner.resume(store, record.id)
        except OSError as error:
            st.error(launch.no_room(error))
            return
        except FieldError:  # somebody else was faster
            pass
        st.rerun()

    return [Action("Go on", ":material/resume:", act, "trains on from the last snapshot, under the same id; on a CPU its numbers "
                   "will be, to the last bit, those of a training that was never interrupted.")
            ] if goes_on(record.id) else []


def _more_seeds(store: Store, record: CalibrationRecord, wanted: int) -> list[Action]:
    """The same plan with so many seeds more, at most twice as many as there are: few seeds guess badly how many would decide."""
    plan, count = record.plan, len(record.plan.seeds)
    more = min(wanted, max(MORE_SEEDS, count), MOST_SEEDS - count)
    if more < 1:
        return [_calibrate_again(record)]
    unused = tuple(seed for seed in range(count + more) if seed not in plan.seeds)[:more]
    full = ", the most that a plan may have" * (count + more == MOST_SEEDS)
    most = f"{full}; about {wanted:,} more would decide, as far as so few can tell" if more < wanted else ""
    bigger = replace(plan, seeds=(*plan.seeds, *unused), reuse=True)
    return [_start(store, record, f"Add {more} seed{'s' * (more > 1)}", ":material/add:", bigger,
                   f"judged on {count + more} seeds{most}; the {count} stored ones are taken over, not trained again, unless "
                   "software or device have changed",
                   replace(plan, seeds=unused).work)]


def _start(store: Store, record: CalibrationRecord, label: str, icon: str, plan: CalibrationPlan, means: str,
           work: int | None = None) -> Action:
    """An action that launches a plan and opens its page; work: samples that it has to draw, where not all is trained anew."""
    def act() -> None:
        launch.submit(store, plan, record.name, record.resume_after_restart)

    return Action(label, icon, act, f"{means}{_time(record, plan.work if work is None else work)}.")


def _time(record: CalibrationRecord, work: int) -> str:
    """About how long it takes to train so many samples, from the time that this one took; "" where that is not known."""
    if record.started_at is None or record.ended_at is None or not record.done:
        return ""
    seconds = (record.ended_at - record.started_at).total_seconds() * work / record.done
    return f"; about {duration(seconds)}" if seconds >= 1 else ""


def _smaller_batches(record: CalibrationRecord, regime: Regime | None) -> list[Action]:
    """A test that can be made: the largest kappa below the noise scale that was measured, at the user's own base batch, where
    that is at least 2; else the user's kappa at the task's own batch and after its own warm start."""
    plan, given = record.plan, again.inputs_of(record.plan)
    batch = _nearer(plan, regime.low if regime else plan.target_batch) if plan.target_batch > plan.base.batch_size else None
    if batch is not None and regime is not None:
        return [_test(record, given._replace(target_batch=batch),
                      f"your own batch {plan.base.batch_size} and the largest κ whose batch lies below the noise scale measured "
                      f"here (at least {regime.low:.3g} samples).")]
    about = task(plan.task)
    instead = remedy.remedy(about, given) or (given if plan.warm_samples < about.defaults.warm_samples else None)
    if instead is None:
        return []
    return [_test(record, instead, "your decays, at the batch, the learning rate and the warm start that suit "
                                   f"{escaped(about.title)}, below its noise scale.", {again.BUDGET: again.OF_THE_TASK})]


def _use_noise_aware(record: CalibrationRecord, verdicts: Mapping[str, Verdict], regime: Regime | None) -> list[Action]:
    """Scale by the noise scale with which a noise-aware arm trained like base; of one that followed it, by its average.

    Not of an arm with values of its own, which Scale would not have.
    """
    matching = [arm for arm in record.plan.arms if arm.group == "noise-aware" and arm.name in verdicts
                and verdicts[arm.name].outcome == "matches"]
    for arm in matching:
        noise = arm.noise_scale or (regime.noise_scale if regime else float("inf"))
        if noise < float("inf") and (arm.measured or arm.config == record.plan.noise_aware(arm.name, noise)):
            how = "the average of what it followed" if arm.measured else "by which it trained like base"
            given = again.inputs_of(record.plan)._replace(target_batch=arm.config.batch_size, noise_scale=float(f"{noise:.3g}"))
            return [Action(USE_NOISE_AWARE, ":material/check:", partial(_scale, given),
                           f"opens Scale with the noise scale of {noise:.3g} samples, {how}.")]
    return []


def _noise_aware(store: Store, record: CalibrationRecord, regime: Regime | None) -> list[Action]:
    """The same plan with the transfer that takes the measured noise scale into account, a test in this regime as well."""
    plan = record.plan
    if regime is None or not 0 < regime.noise_scale < float("inf") or any(arm.group == "noise-aware" for arm in plan.arms):
        return []
    if not family(plan.base.optimizer).follows_noise_scale:
        return []
    if plan.start == "scratch":  # there the noise scale grows by factors
        following = make_arm(FOLLOWING, plan.scaled)
        return [_start(store, record, NOISE_AWARE, ":material/graphic_eq:",
                       replace(plan, arms=(*plan.arms, following), reuse=True),
                       "lr follows the noise scale that base's runs measure as they train (derived by us, not in the paper); "
                       "base is trained again beside it", plan.samples * 2 * len(plan.seeds))]
    arm = make_arm(f"noise-aware {regime.noise_scale:.3g}", plan.scaled)
    aware, rule = (f"{config['lr']:.3g}" for config in (arm.config, plan.scaled.config))
    return [_with_arm(store, record, NOISE_AWARE, ":material/graphic_eq:", arm,
                      f"lr {aware} in place of {rule}, by the noise scale of {arm.noise_scale:g} samples that was measured here "
                      "(derived by us, not in the paper)")]


def _with_arm(store: Store, record: CalibrationRecord, label: str, icon: str, arm: Arm, means: str) -> Action:
    """The same plan with one more arm, the only one that is trained."""
    plan = record.plan
    return _start(store, record, label, icon, replace(plan, arms=(*plan.arms, arm), reuse=True, go_on=True),
                  f"{means}; stored runs are taken over", plan.warm_samples + plan.samples * len(plan.seeds))


def _higher_beta1(store: Store, record: CalibrationRecord, verdicts: Mapping[str, Verdict], known: Measured) -> list[Action]:
    """Beside an arm that differs and meets curvature, the same with the smallest beta1 that bears it.

    After a warm start alone: from scratch a longer memory lags behind a gradient that turns fast (docs/experiments.md).
    """
    plan, signal = record.plan, verdicts["scaled"].reason == "signal dominates"
    if plan.start == "scratch" or known.sharpness is None or "beta1" not in plan.base.hyperparameters:
        return []
    differing = [arm for arm in plan.arms if arm.group == ("noise-aware" if signal else "rule") and arm.name in verdicts
                 and verdicts[arm.name].outcome == "differs" and arm.config.batch_size == plan.target_batch]
    for arm in differing:
        noise = arm.noise_scale or (known.regime.noise_scale if signal and known.regime else None)
        config = plan.noise_aware(arm.name, noise) if noise else arm.config
        there = moved_sharpness(plan.base, plan.target_batch, known.sharpness, noise)
        beta1 = min(math.ceil(100 * beta1_floor(config, there) - ROUNDING) / 100, plan.base["beta1"])
        further = make_arm(f"noise-aware {noise:.3g} beta1={beta1:g}" if noise else f"own: beta1={beta1:g}", plan.scaled)
        bears = there <= stability_limit(further.config) * (1 + ROUNDING)
        if bears and beta1 > config["beta1"] and further.name not in [arm.name for arm in plan.arms]:
            return [_with_arm(store, record, f"Test beta1 = {beta1:g}", ":material/legend_toggle:", further, "the smallest with "
                              f"which the steps bear the curvature that was measured here, in place of {config['beta1']:g}")]
    return []


def _smaller_kappa(record: CalibrationRecord) -> list[Action]:
    """The rule at a target batch nearer to the base; empty where none lies between them."""
    batch = _nearer(record.plan)
    if batch is None:
        return []
    return [_test(record, again.inputs_of(record.plan)._replace(target_batch=batch), "does the rule hold for a smaller step?")]


def _nearer(plan: CalibrationPlan, below: float = float("inf")) -> int | None:
    """The target batch next to this one on its way to the base, a power of two of it and less than ``below``; None without."""
    base, target = plan.base.batch_size, plan.target_batch
    if target > base:
        return max((batch for k in range(1, target.bit_length()) if (batch := base * 2**k) < min(target, below)), default=None)
    return 2 * target if 2 * target < base else None


def _test(record: CalibrationRecord, inputs: Inputs, means: str, more: Mapping[str, str] = MappingProxyType({})) -> Action:
    """Calibrate, opened with this plan and another transfer; more: what else the address says."""
    base, target = inputs.config.batch_size, inputs.target_batch
    address = {launch.AGAIN: record.id, **more, **texts_of(inputs)}
    return Action(f"Test κ = {format_number(target / base)} at {base} → {target}", ":material/alt_route:",
                  lambda: st.switch_page("pages/calibrate.py", query_params=address), means)


def _calibrate_again(record: CalibrationRecord) -> Action:
    return Action("Calibrate again", ":material/science:",
                  lambda: st.switch_page("pages/calibrate.py", query_params={launch.AGAIN: record.id}),
                  "opens Calibrate with this plan, every choice still free.")


def _in_scale(record: CalibrationRecord) -> Action:
    return Action("Open in Scale", ":material/calculate:", partial(_scale, again.inputs_of(record.plan)))


def _scale(given: Inputs) -> None:
    st.switch_page("pages/scale.py", query_params=texts_of(given))


def _compare(record: CalibrationRecord) -> Action:
    return Action("Compare with …", ":material/compare_arrows:",
                  lambda: st.switch_page(compare_link.PAGE, query_params={"ids": record.id}),
                  "lays other calibrations beside this one.")


def _take_away(plan: CalibrationPlan) -> None:
    """The scaled configuration to copy and as a file."""
    scaled = plan.scaled
    answer.snippet(scaled)
    name = f"sqrtscale-{scaled.base.optimizer}-{scaled.base.batch_size}-{scaled.target_batch}.json"
    st.download_button("Download JSON", lambda: answer.as_json(scaled), name, "application/json", on_click="ignore",
                       key="download-values")
