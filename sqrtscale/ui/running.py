"""What runs, on every page: a line on top, the title of the browser's tab, and a notification when it has ended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from ..rules import FieldError
from ..runner import lab, reconciliation, restarts
from ..store import CalibrationRecord, NotFound, Store, failure
from ..store.lab import LabRecord, LabRuns, NoLabRun
from . import runs
from .state import TAB, TITLE, open_store
from .tables import escaped
from .timing import duration

ASSETS = Path(__file__).parent / "assets"
LOOK_EVERY = 3.0
PATIENCE = 2.0  # seconds for a database to answer when it is first opened
WATCHED = "watched"  # pages and ids of what this browser tab has seen under way
ENDED = "ended"  # what has ended since the user came to this page, and which page that is
RESULTS, LAB = "results", "lab"  # addresses of the pages of calibrations and of runs of the lab
HTML = '<label class="notify"><input type="checkbox" role="switch"> Notify me when it is done</label> <span role="status"></span>'


class Underway(NamedTuple):
    """A calibration or a run of the lab that has not ended.

    left: the time that it needs still, in words, "" where that is not known; page: the address where it is shown.
    """

    id: str
    title: str
    state: str
    progress: float
    left: str
    page: str = RESULTS

    @property
    def words(self) -> str:
        """What is said of it in its line, without the title."""
        measured = self.state not in ("QUEUED", "STARTING")
        return " · ".join(filter(None, [f"{self.progress:.0%}" * measured, self.left]))


class Ended(NamedTuple):
    """What has ended while this browser tab was open. words: the first sentence of its answer, or why it ended."""

    id: str
    title: str
    state: str
    words: str
    page: str = RESULTS


def show(page: str) -> None:
    """The line, the title and the notifications; looks again every few seconds while something runs. page: its address.

    A store that fails is told by the page itself, if that needs it.
    """
    here = page, st.query_params.get("id", "")
    if st.session_state.get(ENDED, (here,))[0] != here:
        del st.session_state[ENDED]
    place, looks = st.empty(), count()  # what is below stays where it is, whether or not something runs
    at_first = _look(here)

    @st.fragment(run_every=LOOK_EVERY if at_first else None, key="running")
    def look() -> None:
        first = next(looks) == 0  # within the page's own run, which a rerun would cut short: a click would be lost
        running = at_first if first else _look(here)
        if at_first and not running:
            st.rerun()  # once, so that it looks no more
        _draw(running, _ended(here), here)

    if at_first or _ended(here):
        with place.container():
            look()


def tab(running: Sequence[Underway], ended: Sequence[Ended]) -> str:
    """The title of the browser's tab: how far the first is, or how the last has ended."""
    if running:
        first = running[0]
        return f"{f'{first.progress:.0%}' if first.progress else first.state.lower()} · {TITLE}"
    return f"{ended[-1].state.lower()} · {TITLE}" if ended else TITLE


def time_left(record: CalibrationRecord) -> str:
    """How long it will train still, in words; "" where that is not known."""
    return f"about {duration((record.total - record.done) / record.samples_per_second)} left" if record.samples_per_second else ""


def first_sentence(text: str) -> str:
    """The text up to the first full stop that ends a sentence."""
    return re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]


@contextmanager
def _told_by_the_page() -> Iterator[None]:
    """Nothing of a store that cannot be used or does not answer; every other error goes on."""
    try:
        yield
    except Exception as error:
        if not (failure(error) or isinstance(error, TimeoutError)):
            raise


def _look(here: tuple[str, str]) -> list[Underway]:
    """What runs now: what trains before what waits, each in the order of the queue. Notes what has ended; the tab says both."""
    running: list[Underway] = []
    with _told_by_the_page():
        store = open_store(PATIENCE)
        records = store.queue()
        if reconciliation.correct(store, records) + restarts.go_on(store):
            records = store.queue()
        running = [Underway(record.id, record.title, record.state, min(record.progress, 1.0), time_left(record))
                   for record in records]
        running += _of_the_lab(store)
        running.sort(key=lambda each: each.state == "QUEUED")
        _note_ended(store, running, here)
    st.session_state[TAB] = tab(running, _ended(here))
    st.set_page_config(page_title=st.session_state[TAB])
    return running


def _of_the_lab(store: Store) -> Iterator[Underway]:
    """Runs of the lab that have not ended, in the order of their queue."""
    records = LabRuns(store).active()
    if records:
        lab.reconcile(store)
        records = LabRuns(store).active()
    for record in records:
        left = lab_time_left(record, store.now())
        yield Underway(record.id, lab_title(record), record.state, min(record.progress, 1.0), left, LAB)


def lab_time_left(record: LabRecord, now: datetime) -> str:
    """As :func:`time_left`, for a run of the lab."""
    if not (record.started_at and record.done):
        return ""
    return f"about {duration((now - record.started_at).total_seconds() * (record.total / record.done - 1))} left"


def lab_title(record: LabRecord) -> str:
    """What a run of the lab is called where its page is not loaded: ``Lab: adam, quadratic, gauss``."""
    try:
        given = record.given
    except FieldError:
        return f"Lab: {record.id}"
    return "Lab: " + ", ".join(str(given.get(name, "")).replace("_", " ") for name in ("algorithm", "problem", "noise"))


def _ended(here: tuple[str, str]) -> list[Ended]:
    """What has ended since the user came here."""
    ended: list[Ended] = st.session_state.get(ENDED, (here, []))[1]
    return ended


def _note_ended(store: Store, running: Sequence[Underway], here: tuple[str, str]) -> None:
    """Remember what has ended since the last look, and what is to be watched from now on."""
    watched = [(each.page, each.id) for each in running]
    gone = [_end(store, *each) for each in st.session_state.get(WATCHED, []) if each not in watched]
    st.session_state[WATCHED] = watched
    if known := [each for each in gone if each]:
        st.session_state[ENDED] = here, [*_ended(here), *known]


def _end(store: Store, page: str, id: str) -> Ended | None:
    """How it has ended; None where nothing is to be told: the user ended it, it was removed for good or cannot be read."""
    record: CalibrationRecord | LabRecord
    try:
        record = LabRuns(store).get(id) if page == LAB else store.get(id)
    except (NotFound, NoLabRun, FieldError):
        return None
    title = lab_title(record) if isinstance(record, LabRecord) else record.title
    words = first_sentence(record.answer) if record.state == "DONE" else record.reason
    return Ended(id, title, record.state, words, page) if record.state != "CANCELLED" else None


def _draw(running: Sequence[Underway], ended: Sequence[Ended], here: tuple[str, str]) -> None:
    """Links to what has just ended and to the first that runs, but not to the page itself; the switch beside them."""
    for each in ended:
        if each.id != here[1]:
            st.page_link(_file(each.page), query_params={"id": each.id},
                         label=f"{runs.badge(each.state)} **{escaped(each.title)}** {escaped(each.words)}")
    elsewhere = [each for each in running if each.id != here[1]]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if elsewhere:
            first, *others = elsewhere
            st.page_link(_file(first.page), query_params={"id": first.id}, width="content",
                         label=f"{runs.badge(first.state)} **{escaped(first.title)}** {first.words}")
            if others:
                listed = RESULTS if any(each.page == RESULTS for each in others) else LAB
                st.page_link(_file(listed), label=f"+{len(others)} more", width="content")
        _notifications(ended, offered=bool(running))


def _file(page: str) -> str:
    return f"pages/{page}.py"


def _notifications(ended: Sequence[Ended], offered: bool) -> None:
    """Tell the browser what has ended; offered: whether the switch is shown."""
    data: dict[str, Any] = {"offered": offered, "ended": [
        {"id": each.id, "title": f"{each.state.lower()}: {each.title}", "words": each.words, "page": each.page}
        for each in ended]}
    component = st.components.v2.component(
        "notifications", html=HTML, js=(ASSETS / "notifications.js").read_text(),
        css=(ASSETS / "notifications.css").read_text(), isolate_styles=False)
    component(key="notifications", data=data, width="content", height="content")
