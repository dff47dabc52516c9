"""Results: every stored calibration; one of them, live or ended, by its own address ``?id=...``."""

import streamlit as st

from sqrtscale import runner
from sqrtscale.store import STATES, NotFound
from sqrtscale.ui import detail, runs
from sqrtscale.ui.state import open_store, through_app

through_app()
store = open_store()
runner.reconcile(store)
id = st.query_params.get("id")
if id:
    st.page_link("pages/results.py", label="All results", icon=":material/arrow_back:")
    try:
        detail.show(store, id)
    except NotFound:
        st.error("There is no calibration with the id of this address. It may have been removed for good.")
    st.stop()

if not store.list(limit=1) and not store.list(deleted=True, limit=1):
    st.subheader("Nothing stored yet", anchor=False)
    st.markdown("A calibration trains the base and the scaled configuration side by side on real data. It takes a few "
                "minutes, and its curves stay here.")
    st.page_link("pages/calibrate.py", label="**Run the first calibration**", icon=":material/science:")
    st.page_link("pages/scale.py", label="Or scale a configuration first", icon=":material/calculate:")
    st.stop()

with st.container(horizontal=True, vertical_alignment="bottom"):
    text = st.text_input("Search", key="text", placeholder="name, note, task, optimizer or id")
    states = st.multiselect("State", STATES, key="states", placeholder="any")
    deleted = st.toggle("Deleted", key="deleted")
found = store.list(text=text, states=states or None, deleted=deleted)
if not found:
    st.info("Nothing deleted." if deleted and not text and not states
            else "No calibration fits. Change the search or the states.")
else:
    st.caption(f"{len(found)} calibration{'s' * (len(found) != 1)}, newest first. Choose a row to open it.")
    chosen = runs.table(found, key="list")
    if chosen:
        st.switch_page("pages/results.py", query_params={"id": chosen})
