"""Name and note of a calibration, which several people may edit at once."""

from __future__ import annotations

import re
from typing import NamedTuple

import streamlit as st

from ..store import Record, Store
from .state import put
from .tables import escaped


class Read(NamedTuple):
    """What this user saw when the boxes were filled; what is stored may have changed since."""

    name: str
    note: str
    version: int


def show(store: Store, record: Record) -> None:
    """The form of name and note, and the note as it reads."""
    keys = name, note, read, clash = tuple(f"{what}-{record.id}" for what in ("name", "note", "read", "clash"))
    if note not in st.session_state:
        st.session_state[read] = Read(record.name, record.note, record.note_version)
        put({name: record.name, note: record.note})
    with st.form(f"about-{record.id}", border=False):
        st.text_input("Name", max_chars=200, key=name)
        st.text_area("Note (Markdown)", height=120, key=note)
        st.form_submit_button("Save", on_click=_save, args=(store, record.id, *keys))
    if st.session_state.pop(clash, False):
        st.error("Somebody else has saved this note meanwhile. Theirs stands below, yours is still in the box: save again to "
                 "replace theirs with yours.", title="Note not saved yet")
    if record.note:
        st.markdown(without_images(record.note))


def without_images(note: str) -> str:
    """The note with links in place of images, which would be fetched from wherever they lie by everybody who reads it."""
    return re.sub(r"!+\[", "[", note)


def _save(store: Store, id: str, name: str, note: str, read: str, clash: str) -> None:
    """Store what was changed, unless somebody else wrote a note meanwhile."""
    typed, seen = st.session_state[note], st.session_state[read]
    if st.session_state[name] != seen.name:
        store.rename(id, st.session_state[name])
    if typed != seen.note and not store.set_note(id, typed, seen.version):
        stored = store.record(id)
        st.session_state[read] = Read(stored.name, stored.note, stored.note_version)
        st.session_state[clash] = True
        return
    del st.session_state[note]  # filled anew, with what is stored now
    st.toast(f"Saved{': ' + escaped(st.session_state[name]) if st.session_state[name] else ''}.")
