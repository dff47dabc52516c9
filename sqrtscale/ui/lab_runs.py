"""Experiments of one's own: one of them by its address ``?id=...``, live or ended, and all of them as a list."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import streamlit as st

from ..lab import Experiment, experiment, wording
from ..lab.command import command
from ..lab.stored import Stored, read
from ..report import REPORTS
from ..report.lab import lab_report
from ..rules import FieldError
from ..runner import lab
from ..store import Store, failure
from ..store.lab import LabRecord, LabRuns, NoLabRun
from . import lab_choices, lab_form, lab_pictures, runs
from .lab_choices import Here
from .running import lab_time_left
from .state import open_store, something_stored
from .stored import MIME
from .tables import escaped, sentence
from .timing import duration

PAGE = "pages/lab.py"
LOOK_EVERY = 1.0
LISTED = 20
T = TypeVar("T")
PATIENCE = 2.0  # seconds for a database that the page can do without


def show(id: str, at: Here | None) -> None:
    """The whole page of one experiment; at: where the current configuration lies."""
    st.page_link(PAGE, label="The lab", icon=":material/arrow_back:", query_params={})
    store = open_store()
    lab.reconcile(store)
    try:
        record = LabRuns(store).get(id)
    except NoLabRun:
        st.error("There is no lab run with the id of this address. It may have been removed for good.")
        return
    _deleted(store, record)
    try:
        made = _made(record)
    except FieldError as error:
        st.error(sentence(str(error)), title="This run cannot be shown by this version of sqrtscale")
        _bin(store, record)
        return
    st.title(escaped(lab_choices.named(made)), anchor=False)
    st.caption(f"{sentence(_settings(made))} · {record.created_at:%Y-%m-%d %H:%M} UTC · `{record.id}`")
    if not record.final:
        _live(store, id)
        return
    took = ""
    if record.started_at and record.ended_at:
        took = f" :gray[in {duration((record.ended_at - record.started_at).total_seconds())}]"
    st.markdown(f"{runs.badge(record.state)} {sentence(record.reason)}{took}")
    if record.state == "DONE":
        _outcome(store, record, at)
    else:
        st.code(command(made), language="bash", wrap_lines=True)
        _bin(store, record)
    st.header("Run it again, or changed", anchor=False)
    lab_form.show(made)


def ways(form: str, runs_below: str) -> None:
    """Links to the form and to the runs further down on the page, whose anchors these are."""
    count = _stored(lambda store: [LabRuns(store).count()])
    yours = f" · [your runs: {count[0]}](#{runs_below})" if count and count[0] else ""
    st.markdown(f"[Run an experiment of your own](#{form}){yours}")


def listing(anchor: str) -> None:
    """The stored runs, each a link with its state and what came out. Nothing where there are none."""
    counts = _stored(lambda store: [LabRuns(store).count(), LabRuns(store).count(deleted=True)])
    if not any(counts):
        return
    st.header("Your runs", anchor=anchor)
    deleted = bool(counts[1]) and st.toggle("Deleted", key="lab-deleted")
    records = _stored(lambda store: LabRuns(store).newest(LISTED, deleted))
    if not counts[0] and not deleted:
        st.info("All runs are deleted: “Deleted” shows them.")
    for record in records:
        with st.container(gap="xxsmall"):
            _link(record)
            said = record.answer if record.state == "DONE" else record.reason
            st.caption(sentence(" · ".join(filter(None, [said.rstrip("."), f"{record.created_at:%Y-%m-%d %H:%M} UTC"]))))
    if len(records) == LISTED:
        st.caption(f"The newest {LISTED}. `sqrtscale lab list` has all.")


def _stored(ask: Callable[[Store], list[T]]) -> list[T]:
    """What a store that is there says; nothing, and a word about it, where it does not answer: the pictures need none."""
    if not something_stored():
        return []
    try:
        store = open_store(PATIENCE)
        lab.reconcile(store)
        return ask(store)
    except Exception as error:
        if not (failure(error) or isinstance(error, TimeoutError)):
            raise
        st.caption(f"Your runs cannot be listed: {sentence(failure(error) or 'the database does not answer')}")
        return []


def _link(record: LabRecord) -> None:
    name, more = record.id, f" {record.progress:.0%}" if record.state == "RUNNING" else ""
    with suppress(FieldError):
        name = lab_choices.named(_made(record))
    st.page_link(PAGE, query_params={"id": record.id}, label=f"{runs.badge(record.state)}{more} {escaped(name)}")


def _made(record: LabRecord) -> Experiment:
    """The experiment, checked by today's rules; raises FieldError."""
    return experiment(**record.given)


def _settings(made: Experiment) -> str:
    """What its title does not say."""
    if not made.betas:
        return f"κ = {made.kappa:g}, computed exactly"
    betas = ", ".join(f"{beta:g}" for beta in made.betas)
    return f"β = {betas} · κ = {made.kappa:g} · {made.chains:,} chains of {made.fine_steps:,} fine steps · seed {made.seed}"


def _live(store: Store, id: str) -> None:
    """Progress and the way to end it; looks again every second until the end."""
    @st.fragment(run_every=LOOK_EVERY, key=f"lab-live-{id}")
    def look() -> None:
        lab.reconcile(store)
        try:
            record = LabRuns(store).get(id)
        except NoLabRun:  # deleted while somebody looks at it
            st.rerun()
        if record.final:
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(runs.badge(record.state), width="content")
            if record.cancel_requested_at:
                st.caption("It is being ended.", width="content")
            else:
                st.button("Cancel", icon=":material/stop:", on_click=LabRuns(store).request_cancel, args=(id,), key="lab-cancel")
        ahead = sum(other.number < record.number for other in LabRuns(store).active())
        if record.state == "QUEUED":
            st.info(f"Waiting for its turn: {ahead} ahead of it." if ahead else "Starting …")
            return
        far = " · ".join(filter(None, [f"{record.progress:.0%}", lab_time_left(record, store.now())]))
        st.progress(min(record.progress, 1.0), far if record.total else "Computing the first groups of chains …")
        st.caption("It runs in a process of its own: you may close this page and come back to its address.")

    look()


def _outcome(store: Store, record: LabRecord, at: Here | None) -> None:
    """The pictures, what they mean, and what can be taken away."""
    id = record.id
    try:
        stored = read(LabRuns(store).result(id))
    except FieldError as error:
        st.error(sentence(str(error)), title="The result cannot be read")
        _bin(store, record)
        return
    outcome = stored.outcome
    lab_pictures.about(stored)
    lab_pictures.courses(outcome)
    lab_pictures.errors(outcome, at, "", [])
    lab_pictures.paths(outcome)
    st.header("What it means for a verdict", anchor=False)
    st.markdown(sentence(wording.verdict_paragraph(outcome)))
    with st.expander("How to measure the same numbers again"):
        st.code(command(outcome.experiment), language="bash", wrap_lines=True)
    with st.container(horizontal=True):
        _download(id, "json", "Download JSON", LabRuns(store).result(id))
        for kind in REPORTS:
            _download(id, kind, f"Report {kind.upper()}", stored)
        _bin(store, record)


def _download(id: str, kind: str, label: str, content: str | Stored) -> None:
    def text() -> str:
        return content if isinstance(content, str) else REPORTS[kind](lab_report(content))

    st.download_button(label, text, f"lab-{id}.{kind}", MIME[kind], on_click="ignore", key=f"lab-{kind}")


def _bin(store: Store, record: LabRecord) -> None:
    """The button that deletes it; none of a deleted one, which is brought back."""
    if not record.deleted_at:
        st.button("Delete", icon=":material/delete:", on_click=_delete, args=(store, record.id), key="lab-delete")


def _deleted(store: Store, record: LabRecord) -> None:
    """That it is deleted, with the way back."""
    if record.deleted_at:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning("Deleted. It stays stored until it is purged.")
            st.button("Undo", icon=":material/undo:", on_click=LabRuns(store).restore, args=(record.id,), key="lab-undo")


def _delete(store: Store, id: str) -> None:
    LabRuns(store).delete(id)
    st.toast("Deleted. Undo brings it back.", icon=":material/delete:")
