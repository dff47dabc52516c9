"""What the pages of a calibration and of an imported comparison share: tags, the bin, what can be taken away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from ..report import REPORTS, Report, reported
from ..store import Record, Store
from ..store.export import FORMATS
from .tables import escaped

MIME = {"csv": "text/csv", "json": "application/json", "html": "text/html", "md": "text/markdown"}


def tags_and_bin(store: Store, record: Record) -> None:
    """Its tags, and that it is deleted with the way back."""
    if tags := store.tags_of(record.id):
        st.markdown(" ".join(f":gray-badge[{escaped(tag)}]" for tag in tags))
    if record.deleted_at:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning("Deleted. It stays stored until it is purged.")
            st.button("Undo", icon=":material/undo:", on_click=store.restore, args=(record.id,))


def take_away(store: Store, record: Record) -> None:
    """Downloads, and the button that deletes it."""
    id = record.id
    with st.container(horizontal=True):
        for kind, export in FORMATS.items():
            st.download_button(f"Download {kind.upper()}", partial(_exported, store, id, export),
                               f"{record.plan.kind}-{id}.{kind}", MIME[kind], on_click="ignore", key=f"download-{kind}")
        if record.final:
            for kind, report in REPORTS.items():
                st.download_button(f"Report {kind.upper()}", partial(_report, store, id, report),
                                   f"{record.plan.kind}-{id}.{kind}", MIME[kind], on_click="ignore", key=f"report-{kind}")
        if record.final and not record.deleted_at:
            st.button("Delete", icon=":material/delete:", on_click=_delete, args=(store, id))


def _exported(store: Store, id: str, export: Callable[[Store, Record], str]) -> str:
    return export(store, store.record(id))


def _report(store: Store, id: str, write: Callable[[Report], str]) -> str:
    return write(reported(store, store.record(id)))


def _delete(store: Store, id: str) -> None:
    store.delete(id)
    st.toast("Deleted. Undo brings it back.", icon=":material/delete:")
