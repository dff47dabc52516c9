"""The app: ``streamlit run app.py``. The one list of pages; everything else lives in pages/ and sqrtscale/."""

import streamlit as st

import sqrtscale
from sqrtscale.ui import frame
from sqrtscale.ui.state import boundary

boundary(sqrtscale.__version__)
st.set_page_config(page_title="sqrtscale", page_icon=frame.ASSETS / "icon.png", layout="wide")
st.logo(frame.ASSETS / "logo.svg", size="large")
frame.show()
st.navigation(
    [
        st.Page("pages/scale.py", title="Scale", default=True),
        st.Page("pages/calibrate.py", title="Calibrate"),
        st.Page("pages/results.py", title="Results"),
    ],
    position="top",
).run()
