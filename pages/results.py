"""Results: every stored calibration; one of them, live or ended, by its own address ``?id=...``."""

import streamlit as st

from sqrtscale import FieldError, runner
from sqrtscale.store import Filter, NotFound
from sqrtscale.ui import browse, calibration_view
from sqrtscale.ui.state import open_store, through_app
from sqrtscale.ui.tables import escaped

through_app()
store = open_store()
runner.reconcile(store)
id = st.query_params.get("id")
if id:
    st.page_link("pages/results.py", label="All results", icon=":material/arrow_back:")
    try:
        calibration_view.show(store, id)
    except NotFound:
        st.error("There is no calibration with the id of this address. It may have been removed for good.")
    except FieldError as error:  # its task is gone, or today's rules refuse its plan
        st.error(escaped(str(error)), title="This calibration cannot be shown by this version of sqrtscale")
    st.stop()

st.query_params.clear()  # Streamlit 1.67: a link from one calibration to the list leaves the id in the address
if store.count() or store.count(Filter(deleted=True)):
    browse.show(store)
else:
    browse.nothing_yet()
