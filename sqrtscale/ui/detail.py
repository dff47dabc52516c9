"""One calibration: live while it runs, whole when it has ended."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from .. import runner
from ..evidence import describe, summarise
from ..plan import WARM_START
from ..rules import family
from ..store import CalibrationRecord, Store
from ..store.export import FORMATS
from ..tasks import task
from . import charts, launch, live_plot, runs
from .inputs import Inputs, number, texts_of
from .tables import plain
from .timing import duration

LOOK_EVERY = 2.0
MIME = {"csv": "text/csv", "json": "application/json"}


def show(store: Store, id: str) -> None:
    """Everything about one calibration; raises NotFound."""
    record = store.get(id)
    _heading(store, record)
    _live(store, id, ended=record.final)
    with st.expander("Configuration of the arms"):
        launch.arms_table(record.plan)
        _carry_on(record)
    with st.expander("Runs"):
        _runs(record)
    with st.expander("Note and name"):
        _note(store, record)
    with st.expander("How to repeat it"):
        st.caption("Everything that the result depends on: plan, package versions, device, commit.")
        st.json({"plan": record.plan.as_dict(), "environment": record.environment}, expanded=False)
        st.code(_command(record), language="bash")
    with st.container(horizontal=True):
        for kind, make in FORMATS.items():
            st.download_button(f"Download {kind.upper()}", lambda make=make: make(store, store.get(id)),
                               f"calibration-{id}.{kind}", MIME[kind], on_click="ignore", key=f"download-{kind}")
        if record.final and not record.deleted_at:
            st.button("Delete", icon=":material/delete:", on_click=store.delete, args=(id,))


def _heading(store: Store, record: CalibrationRecord) -> None:
    plan = record.plan
    name = runs.title(record.name, task(plan.task).title, plan.base.batch_size, plan.target_batch)
    st.subheader(plain(name), anchor=False)
    st.caption(f"{family(plan.base.optimizer).label}, batch {plan.base.batch_size} → {plan.target_batch} "
               f"(κ = {number(plan.target_batch / plan.base.batch_size)}), {task(plan.task).title}, "
               f"{len(plan.seeds)} seeds, {plan.start} start · {record.created_at:%Y-%m-%d %H:%M} UTC · `{record.id}`")
    if record.deleted_at:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning("Deleted. It stays stored until it is purged.")
            st.button("Undo", icon=":material/undo:", on_click=store.restore, args=(record.id,))


def _live(store: Store, id: str, ended: bool) -> None:
    """State, outcome, curves and log; looks again every two seconds until the end."""
    @st.fragment(run_every=None if ended else LOOK_EVERY, key=f"live-{id}")
    def look() -> None:
        if not ended:
            runner.reconcile(store)
        record = store.get(id)
        if record.final and not ended:
            st.rerun()  # the whole page once more, and no more looks
        _state(store, record)
        curves = store.curves(id)
        _outcome(record, curves)
        _curves(record, curves)
        with st.expander("Log", expanded=record.state in ("FAILED", "LOST")):
            text = runner.read_log(id)
            st.code(text or "The training process has written nothing yet.", language=None, height=240)
            st.download_button("Download log", text, f"calibration-{id}.log", "text/plain", on_click="ignore",
                               key=f"log-{id}")

    look()


def _state(store: Store, record: CalibrationRecord) -> None:
    """Badge and reason, or progress with a way to cancel."""
    if record.final:
        took = duration((record.ended_at - record.started_at).total_seconds()) if record.started_at else ""
        st.markdown(f"{runs.badge(record.state)} {plain(record.reason)}" + (f" :gray[in {took}]" if took else ""))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(runs.badge(record.state), width="content")
        if record.state != "CANCELLING":
            st.button("Cancel", icon=":material/stop:", on_click=runner.cancel, args=(store, record.id), key="cancel")
    if record.state == "QUEUED":
        ahead = [one.id for one in store.queue()].index(record.id)
        st.info(f"Waiting for its turn: {ahead} ahead of it." if ahead else "Starting …")
        return
    parts = [f"{record.progress:.0%}"]
    if record.phase:
        parts.append(record.phase)
    if record.samples_per_second:
        left = (record.total - record.done) / record.samples_per_second
        parts += [f"{record.samples_per_second:,.0f} samples/s", f"about {duration(left)} left"]
    st.progress(min(record.progress, 1.0), " · ".join(parts) if record.total else "Loading torch and the data …")


def _outcome(record: CalibrationRecord, curves: pd.DataFrame) -> None:
    """What came out, in a sentence and a table; nothing before the arms have ended."""
    arms = curves[curves["arm"] != WARM_START]
    found = summarise(arms)
    if not record.final or not found:
        return
    unit = task(record.plan.task).metrics["val_loss"]
    st.markdown("\n".join(f"- {sentence}" for sentence in describe(found, unit)))
    colours = {"base": "blue", "scaled": "orange"}
    rows = [(f":{colours.get(arm, 'gray')}[{arm}]", _digits(one.mean), _digits(one.std), str(one.n),
             f"{one.difference:+.4f} ± {one.half_width:.4f}" if one.pairs > 1 else _digits(one.difference))
            for arm, one in found.items()]
    st.table(pd.DataFrame(rows, columns=["Arm", "End validation loss", "Std over seeds", "Seeds", "Difference to base, 95%"]),
             border="horizontal", hide_index=True, alt="End validation loss of every arm, and its difference to base")
    st.caption("End value: mean over the last tenth of the samples. Differences are paired by seed. A difference that was not "
               "seen is not yet a match: that takes a test of equivalence.")


def _digits(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _curves(record: CalibrationRecord, curves: pd.DataFrame) -> None:
    """The chart of the arms with its choices, and the warm start's own curve."""
    about = task(record.plan.task)
    arms = curves[curves["arm"] != WARM_START]
    if curves.empty:
        st.info("No points were measured." if record.final else "Curves appear here after the first measurement.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.segmented_control("Metric", list(about.metrics), default="val_loss", required=True, key="metric",
                                      format_func=lambda name: charts.METRIC_LABELS.get(name, name))
        band = st.segmented_control("Band over seeds", charts.BANDS, default=charts.BANDS[0], required=True, key="band")
        with st.popover("View"):
            seeds = st.toggle("Single seeds", key="single-seeds")
            log_x, log_y = st.toggle("Log x", key="log-x"), st.toggle("Log y", key="log-y")
            steps = st.toggle("Optimizer steps instead of samples", key="steps-axis")
    unit = about.metrics[metric]
    view = dict(band=band, seeds=seeds, log_y=log_y)
    if not arms.empty:
        batches = {arm.name: arm.config.batch_size for arm in record.plan.arms} if steps else None
        figure = charts.curves_figure(arms, metric, unit, log_x=log_x, batches=batches, **view)
        live_plot.show(figure, key=f"arms-{metric}-{steps}-{log_x}-{log_y}",
                       alt=f"Mean over {len(record.plan.seeds)} seeds of every arm; band: {band}.")
    warm = curves[curves["arm"] == WARM_START]
    if not warm.empty:
        with st.expander("Warm start", expanded=arms.empty):
            figure = charts.curves_figure(warm, metric, unit, x_title="Samples seen since the initial weights", **view)
            live_plot.show(figure, key=f"warm-{metric}-{log_y}",
                           alt="The base configuration up to the branch point, from which every arm starts.")


def _runs(record: CalibrationRecord) -> None:
    rows = [(run.arm, str(run.seed), run.state, *(_digits(run.final.get(metric, math.nan)) for metric in
             task(record.plan.task).metrics), run.reason) for run in record.runs]
    heads = [charts.METRIC_LABELS.get(metric, metric) for metric in task(record.plan.task).metrics]
    st.dataframe(pd.DataFrame(rows, columns=["Arm", "Seed", "State", *heads, "Reason"]), hide_index=True, width="stretch",
                 alt="Every run with its state and its last values")


def _carry_on(record: CalibrationRecord) -> None:
    given = Inputs(record.plan.base, record.plan.target_batch, record.plan.decay_form)
    with st.container(horizontal=True):
        st.page_link("pages/calibrate.py", label="Calibrate again", icon=":material/replay:", query_params=texts_of(given))
        st.page_link("pages/scale.py", label="Open in Scale", icon=":material/calculate:", query_params=texts_of(given))


def _note(store: Store, record: CalibrationRecord) -> None:
    with st.form(f"note-{record.id}", border=False):
        name = st.text_input("Name", record.name, max_chars=200)
        note = st.text_area("Note (Markdown)", record.note, height=120)
        # The version that this user has read, not the one that is stored by the time of saving.
        version = st.session_state.setdefault(f"note-version-{record.id}", record.note_version)
        if st.form_submit_button("Save"):
            store.rename(record.id, name)
            if note == record.note or store.set_note(record.id, note, version):
                st.session_state.pop(f"note-version-{record.id}")
                st.toast("Saved.")
                st.rerun()
            st.error("Somebody else has changed the note meanwhile: copy yours, reload the page, and save again.")
    if record.note:
        st.markdown(record.note)


def _command(record: CalibrationRecord) -> str:
    """The same calibration from the command line."""
    plan, base = record.plan, record.plan.base
    values = dict(base.hyperparameters)
    parts = ["sqrtscale calibrate", f"--task {plan.task}", f"--optimizer {base.optimizer}", f"--lr {values['lr']!r}"]
    if "beta1" in values:
        parts.append(f"--betas {values['beta1']!r} {values['beta2']!r}")
    parts += [f"--{name.replace('_', '-')} {values[name]!r}" for name in ("alpha", "eps", "weight_decay", "momentum")
              if name in values]
    parts += [f"--batch {base.batch_size}", f"--target {plan.target_batch}", f"--seeds {len(plan.seeds)}",
              f"--samples {plan.samples}", f"--start {plan.start}"]
    if plan.warm_samples:
        parts.append(f"--warm-samples {plan.warm_samples}")
    if base.warmup_steps:
        parts.append(f"--warmup {base.warmup_steps}")
    arms = " ".join(f"'{arm.name}'" if " " in arm.name else arm.name for arm in plan.arms)
    return " ".join([*parts, f"--arms {arms}", f"--decay-form {plan.decay_form}", f"--device {plan.device}"])
