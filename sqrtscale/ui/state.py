"""What pages share: the way in through app.py, one open store, values for widgets, and the last boundary of what goes wrong."""

from __future__ import annotations

import logging
import os
import platform
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st
from streamlit import error_util
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ..home import database_file, home
from ..rules import FieldError
from ..rules.errors import shown
from .tables import escaped

if TYPE_CHECKING:
    from ..store import Store


log = logging.getLogger(__name__)
URL = "SQRTSCALE_DATABASE_URL"
TITLE = "sqrtscale"
TAB = "title of the tab"  # as it was when something last looked at what runs
PUT = "put into widgets"  # the page, and key -> Put, until the browser has heard of it
_version = ""  # of sqrtscale, as app.py names it


def boundary(version: str) -> None:
    """From now on ``show_failure`` says what no page, fragment or callback has caught.

    Streamlit (1.67) writes the traceback to the server's log first, and its own rerun and stop never come here. Its setting
    for this, ``on_script_error``, wants an app of another kind, and a run's own context is not there yet for a fragment.
    """
    global _version
    _version = version
    error_util.show_uncaught_app_exception = show_failure


def show_failure(ex: BaseException) -> None:
    """One sentence in place of the rest of the page; unless that says all, a fold with what to send along."""
    sentence = _sentence(ex)
    log.error("A page failed: %s", sentence or repr(ex))
    if sentence:
        st.error(escaped(sentence))
        return
    st.error(escaped(f"This part of the page failed ({type(ex).__name__}: {shown(str(ex))}): reload the page, and if it "
                     "fails again, report it with the text below."))
    with st.expander("What to report", icon=":material/bug_report:"):
        st.code(f"sqrtscale {_version}, Streamlit {st.__version__}, Python {platform.python_version()}\n"
                + "".join(traceback.format_exception(ex)), language=None)


def _sentence(error: BaseException) -> str:
    """What the command line says of it, where that is made for users; else nothing."""
    from ..store import DamagedChunk, NotFound, failure

    known = isinstance(error, (FieldError, NotFound, DamagedChunk))
    return failure(error) or (" ".join(str(error).split()) if known else "")


def through_app() -> None:
    """Every page's first line: run again through app.py where Streamlit has left it out.

    Until st.navigation has been called once, a server that finds a folder ``pages/`` runs the file of the
    address by itself (Streamlit 1.67), without our page list and layout.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def went_back() -> bool:
    """True where the browser's Back or Forward began this run: only then is its address newer than its inputs.

    What a busy browser sends with a click may still carry the address from before the last input.
    """
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


class Put(NamedTuple):
    """What a widget was given by the page, and what the browser held before."""

    value: Any
    before: Any


def put(values: Mapping[str, Any]) -> None:
    """Give widgets values, by their keys, in a run of the whole page; it is seen to it that the browser hears of them."""
    page, waiting = _waiting()
    for key, value in values.items():
        before = st.session_state.get(key)
        if key in waiting and before == waiting[key].value:  # put twice before the browser has answered
            before = waiting[key].before
        waiting[key] = Put(value, before)
    st.session_state[PUT] = page, waiting
    st.session_state.update(values)


def put_again() -> None:
    """Before the page: what was put and the browser has not heard of, as a run was broken off or the browser is behind.

    Streamlit (1.67) tells it once. What it has not heard it shows empty, or as it was, and sends that with the next click.
    What it has it is not told again: that would overtake typing.
    """
    for key, (value, before) in _waiting()[1].items():
        if key not in st.session_state:  # taken away since, to be filled anew
            continue
        now = st.session_state[key]
        if now == before != value:
            st.session_state[key] = value
        elif not _known(key)[0]:
            st.session_state[key] = now


def all_shown() -> None:
    """After the page: only of widgets that it has not sent yet may the browser know nothing; of others it will hear."""
    page, waiting = _waiting()
    st.session_state[PUT] = page, {key: Put(put.value, put.value) for key, put in waiting.items() if _known(key) == (False, True)}


def _known(key: str) -> tuple[bool, bool]:
    """Whether the browser has just sent the widget of that key, and whether this run has drawn it."""
    context = get_script_run_ctx()
    if context is None:
        return False, False
    state = context.session_state._state
    id = state.get_widget_id_from_key(key)
    return id in state._new_widget_state, id in context.shared.widget_ids_this_run


def _waiting() -> tuple[str, dict[str, Put]]:
    """This page, and what was put into its widgets and waits for the browser."""
    context = get_script_run_ctx()
    here = context.page_script_hash if context else ""
    page, waiting = st.session_state.get(PUT, (here, {}))
    return here, dict(waiting) if page == here else {}


def something_stored() -> bool:
    """False on a first visit, where a page that needs no store need not wait for what opens it."""
    return bool(os.environ.get(URL)) or database_file().exists()


def open_store(patience: float | None = None) -> Store:
    """The store, opened (and migrated) once for the server; tried again where that has failed.

    With a patience in seconds it waits no longer (TimeoutError), and a failure is not tried again: for what a page does without.
    """
    place = os.environ.get(URL, ""), str(home())
    opening = _opening(*place)
    if patience is None and opening.done() and opening.exception():
        _opening.clear(*place)
        opening = _opening(*place)
    return opening.result(patience)


@st.cache_resource(show_spinner=False)
def _opening(url: str, home: str) -> Future[Store]:  # the home is part of the key: it decides where the database lies
    """The store on its way, in a thread of its own: a database that does not answer keeps no page that needs none."""
    opening: Future[Store] = Future()

    def work() -> None:
        from ..store import Store  # the first page is there sooner without it

        try:
            opening.set_result(Store.open(url or None))
        except BaseException as error:
            opening.set_exception(error)

    Thread(target=work, name="store", daemon=True).start()  # the server's end does not wait for it either
    return opening
