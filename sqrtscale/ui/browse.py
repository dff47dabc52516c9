"""The list of stored calibrations with its search; it follows those that still run."""

from __future__ import annotations

import streamlit as st

from .. import runner
from ..evidence import OUTCOMES
from ..store import STATES, Store
from . import runs

LOOK_EVERY = 4.0


def nothing_yet() -> None:
    """What a newcomer reads: what will stand here, and how to make it."""
    st.title("Nothing stored yet", anchor=False)
    st.markdown("A calibration trains the base and the scaled configuration side by side on real data. It takes a few "
                "minutes, and its curves stay here.")
    st.page_link("pages/calibrate.py", label="**Run the first calibration**", icon=":material/science:")
    st.page_link("pages/scale.py", label="Or scale a configuration first", icon=":material/calculate:")


def show(store: Store) -> None:
    """Search, and the list; opens the row that the user chooses."""
    st.title("Results", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Search", key="text", placeholder="name, note, task, optimizer, verdict or id")
        states = st.multiselect("State", STATES, key="states", placeholder="any")
        outcomes = st.multiselect("Verdict", OUTCOMES, key="outcomes", placeholder="any")
        deleted = st.toggle("Deleted", key="deleted")
    active = bool(store.queue())

    @st.fragment(run_every=LOOK_EVERY if active else None, key="list")
    def look() -> None:
        if active:
            runner.reconcile(store)
        summaries = store.summaries(text=text, states=states or None, outcomes=outcomes or None, deleted=deleted)
        if not summaries:
            st.info(_no_match(bool(text.strip() or states or outcomes), deleted))
            return
        st.caption(f"{len(summaries)} calibration{'s' * (len(summaries) != 1)}, newest first. Choose a row to open it.")
        times = st.session_state.get("rows opened", 0)
        # A key for each search: a table that is given other rows forgets a click that comes at once.
        chosen = runs.calibrations_table(
            summaries, key=f"stored-{times}-{deleted}-{'-'.join([*states, *outcomes])}-{text.strip()}")
        if chosen:
            st.session_state["rows opened"] = times + 1  # the browser keeps a selection by key: another list, none selected
            st.switch_page("pages/results.py", query_params={"id": chosen})

    look()


def _no_match(filtered: bool, deleted: bool) -> str:
    if filtered:
        return "No calibration fits. Change the search, the states or the verdicts."
    return "Nothing is deleted." if deleted else "All calibrations are deleted. Switch on “Deleted” to see them."
