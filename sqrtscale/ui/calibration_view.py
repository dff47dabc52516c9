"""One calibration: live while it runs, whole when it has ended."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from .. import runner
from ..arms import KINDS
from ..evidence import base_sharpness, layer_tails
from ..plan import WARM_START
from ..report import branching, was_stopped
from ..report.noise_law import nearest_law
from ..rules import family
from ..runner import snapshots
from ..runner.faults import rivals
from ..runner.log import LARGEST
from ..schedules import CONSTANT
from ..store import CalibrationRecord, DamagedChunk, NotFound, Store, title
from ..tasks import task
from . import actions, again, curve_view, launch, noise_view, notes, repeat, running, runs, stored, verdict_view
from .inputs import format_number, texts_of
from .tables import escaped, reasons, sentence
from .timing import duration

LOOK_EVERY = 2.0
CANCELLED_AT_ONCE = 60.0  # seconds of training that may be lost without a question
BRANCHED = "The branch point is the checkpoint {}: there every arm begins, with the same weights and its optimizer's state."
BRANCH_POINT = "The branch point is where the warm start ended: there every arm begins, with the same weights."
LOG_LINES = 200  # shown; the whole log can be downloaded


def show(store: Store, record: CalibrationRecord) -> None:
    """Everything about one calibration."""
    id = record.id
    _heading(store, record)
    curve_view.open_view(record)
    _results(store, id, ended=record.final)
    with st.expander("Configuration of the arms"):
        launch.arms_table(record.plan)
        for arm in record.plan.arms:
            if arm.name in KINDS:
                st.caption(f"{runs.coloured(arm.name)}: {escaped(KINDS[arm.name].description)}")
        if moved := branching(record.plan):
            st.caption(sentence(moved))
        with st.popover("Formulas"):
            reasons(record.plan.scaled)
    with st.expander("Runs"):
        runs.runs_table(record)
        if record.executors:
            st.caption(f"Steps were carried out by the executor `{record.executors}`.")
        if taken := store.reused(id):
            st.caption(f"{len(taken)} of these runs were not trained again but taken from "
                       f"{', '.join(f'`{source}`' for source in dict.fromkeys(taken.values()))}.")
    with st.expander("Note and name"):
        notes.show(store, record)
    with st.expander("How to repeat it"):
        repeat.show(record)
    stored.take_away(store, record)


def _heading(store: Store, record: CalibrationRecord) -> None:
    plan = record.plan
    name = title(record.name, task(plan.task).title, plan.base.batch_size, plan.target_batch)
    schedule = f", schedule `{plan.schedule}`" if plan.schedule != CONSTANT else ""
    st.title(escaped(name), anchor=False)
    st.caption(f"{family(plan.base.optimizer).label}, batch {plan.base.batch_size} → {plan.target_batch} "
               f"(κ = {format_number(plan.target_batch / plan.base.batch_size)}), {escaped(task(plan.task).title)}, "
               f"{task(plan.task).model_of(plan.size)}, {plan.seeds_in_words}, {plan.start} start{schedule} · "
               f"{record.created_at:%Y-%m-%d %H:%M} UTC · `{record.id}`")
    stored.tags_and_bin(store, record)


def _end(store: Store, id: str) -> None:
    runner.cancel(store, id)


def _cancel(store: Store, record: CalibrationRecord) -> None:
    """The button that ends it: at once, or after one question where more than a minute of training would be lost."""
    lost = (store.now() - record.started_at).total_seconds() if record.started_at else 0.0
    if lost <= CANCELLED_AT_ONCE:
        st.button("Cancel", icon=":material/stop:", on_click=_end, args=(store, record.id), key="cancel")
        return
    question = "cancel-question"
    with st.popover("Cancel", icon=":material/stop:", key=question, on_change="rerun"):
        then = "can go on later from its last snapshot" if snapshots.there(record.id) else "cannot go on from there"
        st.markdown(f"It has trained for **{duration(lost)}** and {then}. What was measured is kept.")
        with st.container(horizontal=True):
            st.button("Cancel it", type="primary", on_click=_end, args=(store, record.id), key="cancel-it")
            st.button("Let it train", on_click=lambda: st.session_state.update({question: False}), key="let-it-train")


def _results(store: Store, id: str, ended: bool) -> None:
    """State, outcome, curves and log; looks again every two seconds until the end."""
    @st.fragment(run_every=None if ended else LOOK_EVERY, key=f"live-{id}")
    def look() -> None:
        if not ended:
            runner.reconcile(store)
        try:
            record = store.get(id)
        except NotFound:  # removed for good while somebody looks at it
            st.rerun()
        _state(store, record)
        try:
            version = store.curves_version(id)
            points = curve_view.curves(store, id, version)
        except DamagedChunk as error:
            st.error(escaped(str(error)), title="The curves cannot be read")
            actions.show(store, record, {}, {})
        else:
            measured = verdict_view.measured(record, points, id, version)
            judgement = verdict_view.judge(store, record, points, version, measured)
            if judgement:
                verdict_view.answer(record, judgement)
            actions.show(store, record, judgement.verdicts if judgement else {}, measured,
                         base_sharpness(points, record.plan.base))
            stopped = was_stopped(record) and not (points[points["arm"] != WARM_START]["samples"] > 0).any()
            if not stopped:
                curve_view.show(record, points)
                if record.plan.start != "scratch" and (points["arm"] != WARM_START).any():
                    checkpoint = record.plan.checkpoint
                    st.caption(escaped(BRANCHED.format(checkpoint.words)) if checkpoint else BRANCH_POINT)
            if judgement:
                verdict_view.details(record, judgement, measured)
            curve_view.warm_start(record, points[points["arm"] == WARM_START] if stopped else points)
            noise_view.show(record, points, measured)
            if record.final:
                _to_the_lab(record, points)
        _log(record)
        if record.final and not ended:  # at the end: a click in this run counts
            st.rerun()  # the whole page once more, and no more looks

    look()


def _to_the_lab(record: CalibrationRecord, points: pd.DataFrame) -> None:
    """The link to the lab with this configuration and, where its tails are known, the law that is nearest to its noise."""
    law = nearest_law(layer_tails(points[points["arm"] != WARM_START]))
    address = texts_of(again.inputs_of(record.plan)) | ({"law": law} if law else {})
    st.page_link("pages/lab.py", label="See this configuration in the lab", icon=":material/ssid_chart:", query_params=address)


def _state(store: Store, record: CalibrationRecord) -> None:
    """Badge and reason, or progress with a way to cancel."""
    if record.final:
        took = ""
        if record.started_at and record.ended_at:
            took = duration((record.ended_at - record.started_at).total_seconds())
        st.markdown(f"{runs.badge(record.state)} {escaped(record.reason)}" + (f" :gray[in {took}]" if took else ""))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(runs.badge(record.state), width="content")
        if record.state == "CANCELLING":
            st.caption("The processes are being ended. What was measured is kept.", width="content")
        else:
            _cancel(store, record)
    if record.state == "QUEUED":
        waiting = [rival.id for rival in rivals(store, record)]
        ahead = waiting.index(record.id) if record.id in waiting else 0  # it may have ended meanwhile
        st.info(f"Waiting for its turn: {ahead} ahead of it." if ahead else "Starting …")
        return
    parts = [f"{record.progress:.0%}", *filter(None, [record.phase])]
    if record.samples_per_second:
        parts += [f"{record.samples_per_second:,.0f} samples/s", running.time_left(record)]
    st.progress(min(record.progress, 1.0), " · ".join(parts) if record.total else "Loading torch and the data …")


def _log(record: CalibrationRecord) -> None:
    """The end of the training's output, newest line last; open where it says why something failed."""
    with st.expander("Log", expanded=record.state in ("FAILED", "LOST")):
        lines = runner.read_log(record.id).splitlines()
        if not lines:
            st.caption("The training process has written nothing." if record.final
                       else "The training process has written nothing yet.")
            return
        if len(lines) > LOG_LINES:
            st.caption(f"The last {LOG_LINES} lines. The download has all that was kept.")
        with st.container(height=min(240, 60 + 22 * len(lines)), border=False, autoscroll=True):
            st.code("\n".join(lines[-LOG_LINES:]), language=None)
        st.download_button("Download log", lambda: runner.read_log(record.id, LARGEST), f"calibration-{record.id}.log",
                           "text/plain", on_click="ignore", key=f"log-{record.id}")
