"""The app: ``streamlit run app.py``. The one list of pages; everything else lives in pages/ and sqrtscale/."""

import streamlit as st

import sqrtscale
from sqrtscale.ui import frame
from sqrtscale.ui.state import TAB, TITLE, boundary, something_stored

boundary(sqrtscale.__version__)
st.set_page_config(page_title=st.session_state.get(TAB, TITLE), page_icon=frame.ASSETS / "icon.png", layout="wide")
st.logo(frame.ASSETS / "logo.svg", size="large")
frame.show()
page = st.navigation(
    [
        st.Page("pages/scale.py", title="Scale", default=True),
        st.Page("pages/calibrate.py", title="Calibrate"),
        st.Page("pages/results.py", title="Results"),
        st.Page("pages/compare.py", title="Compare"),
    ],
    position="top",
)
if something_stored():
    from sqrtscale.ui import running  # loads the store

    running.show(page.url_path)
page.run()
