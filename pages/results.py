"""Results: every stored calibration, as a list or as a library; one of them, live or ended, by its own address ``?id=...``."""

import streamlit as st

from sqrtscale import FieldError, runner
from sqrtscale.store import CalibrationRecord, Filter, NotFound
from sqrtscale.ui import browse, calibration_view, filters, imported_view, library_view
from sqrtscale.ui.state import open_store, through_app
from sqrtscale.ui.tables import escaped

through_app()
store = open_store()
runner.reconcile(store)
id = st.query_params.get("id")
if id:
    st.page_link("pages/results.py", label="All results", icon=":material/arrow_back:", query_params=filters.way_back())
    try:
        record = store.record(id)
        if isinstance(record, CalibrationRecord):
            calibration_view.show(store, record)
        else:
            imported_view.show(store, record)
    except NotFound:
        st.error("There is no calibration with the id of this address. It may have been removed for good.")
    except FieldError as error:  # its task is gone, or today's rules refuse its plan
        st.error(escaped(str(error)), title="This calibration cannot be shown by this version of sqrtscale")
elif store.count() or store.count(Filter(deleted=True)):
    st.title("Results", anchor=False)
    {"List": browse, "Library": library_view}[filters.view()].show(store)
else:
    browse.nothing_yet()
