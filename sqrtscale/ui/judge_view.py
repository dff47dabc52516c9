"""The page that judges logs: upload, then what the logs do not say, then the button that stores the comparison."""

from __future__ import annotations

import streamlit as st

from .. import logs
from ..imported import imported
from ..rules import FieldError
from ..store import Store
from . import judge_answers, judge_runs, uploads
from .tables import escaped
from .uploads import LARGEST_FILE, LARGEST_UPLOAD, Uploaded

KEPT = "logs to judge"
UPLOADERS = "uploaders of logs"  # how often they were emptied: what they still held would stay in the server's memory
BY_ITSELF = "Recognise it"
WHAT = (
    f"Several files at once, up to {LARGEST_FILE} MB each and {LARGEST_UPLOAD} MB together: exports of W&B, TensorBoard files, "
    "trainer_state.json, Lightning's metrics.csv, MLflow, trackio, JSON lines, CSV, training output as text; also what a "
    "NoiseMeter wrote. They stay on this machine, nothing in them is executed, and only their curves are kept."
)


def show(store: Store) -> None:
    """The whole page below its title."""
    kept: Uploaded | None = st.session_state.get(KEPT)
    if kept is None:
        _upload(None)
        st.markdown("Which run is base, which follows the rule, and their batches are asked next: no log says it all.")
        return
    _about(kept)
    _questions(store, kept)


def put_aside() -> None:
    """Forget the logs and what was answered about them."""
    st.session_state.pop(KEPT, None)
    judge_runs.forget()


def _upload(kept: Uploaded | None) -> None:
    """The boxes for files and for a folder. A form holds its button back while a file is still on its way."""
    emptied = st.session_state.setdefault(UPLOADERS, 0)
    with st.form("upload logs", border=kept is None):
        st.caption(WHAT)
        files = st.file_uploader(
            "Logs of all runs", accept_multiple_files=True, key=f"log files {emptied}", max_upload_size=LARGEST_FILE
        )
        with st.expander("Runs whose files have the same name, or a file that is not recognised"):
            folder = st.file_uploader(
                "A folder with a folder for each run",
                accept_multiple_files="directory",
                key=f"log folder {emptied}",
                max_upload_size=LARGEST_FILE,
                help="For trainer_state.json, metrics.csv or event files: a run is called by its folder",
            )
            reader = st.selectbox("Format", [BY_ITSELF, *logs.NAMES], key="log reader", format_func=_title)
            columns = st.text_input(
                "Columns",
                key="log columns",
                max_chars=400,
                placeholder="step=iteration",
                help="Where a table does not say it: run, metric, value, step, samples, tokens, epoch or "
                "wall_time = the name of its column",
            )
        if not st.form_submit_button("Read", type="primary" if kept is None else "secondary", icon=":material/upload_file:"):
            return
    try:
        with st.spinner("Reading the logs ..."):
            more = uploads.read([*files, *folder], None if reader == BY_ITSELF else reader, uploads.column_names(columns))
    except FieldError as error:
        st.error(escaped(str(error)), title="The logs were not read")
        return
    st.session_state[KEPT] = more if kept is None else uploads.added(kept, more)
    st.session_state[UPLOADERS] += 1
    st.rerun()


def _title(reader: str) -> str:
    return reader if reader == BY_ITSELF else logs.readers()[reader].TITLE


def _about(kept: Uploaded) -> None:
    """What was read, what was done to it, and the way to more files or to others."""
    runs, files = len(kept.logs.runs), len(kept.files)
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"**{runs:,} run{'s' * (runs != 1)}** in {files:,} file{'s' * (files != 1)}"
        st.markdown(f":material/description: {words}", width="content")
        st.button("Put aside", on_click=put_aside, icon=":material/close:", type="tertiary", help="Forget these logs")
    if kept.logs.notes:
        with st.expander("What was done to their points"):
            st.markdown("\n".join(f"- {escaped(note)}" for note in kept.logs.notes))
    with st.expander("Add files"):
        _upload(kept)


def _questions(store: Store, kept: Uploaded) -> None:
    """What is asked; with all of it answered, the button stores the comparison and opens its page."""
    try:
        asked = judge_answers.show(kept.logs.runs)
    except FieldError as error:
        st.error(escaped(str(error)))
        return
    if asked.missing:
        st.info(f"Still to be said: {escaped('; '.join(asked.missing))}.")
    if not st.button("Judge", type="primary", icon=":material/gavel:", disabled=bool(asked.missing)) or asked.answers is None:
        return
    try:
        comparison = imported(asked.selections, asked.answers)
    except FieldError as error:
        st.error(escaped(str(error)), title="These answers cannot be judged")
        return
    id = store.create_imported(comparison.plan, comparison.curves, asked.name, (*kept.logs.notes, *comparison.notes))
    st.switch_page("pages/results.py", query_params={"id": id})
