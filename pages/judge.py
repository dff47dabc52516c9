"""Judge logs: curves that somebody trained elsewhere, uploaded, assigned to arms, and judged like a calibration."""

import streamlit as st

from sqrtscale.ui import judge_view
from sqrtscale.ui.state import open_store, through_app

through_app()
st.title("Is it the same training?", anchor=False)
st.caption(
    "You trained at two batch sizes elsewhere and kept the logs: base, and the scaled configuration. They are judged here "
    "as a calibration is, and stay with the results."
)
judge_view.show(open_store())
