"""The app: ``streamlit run app.py``. The one list of pages; everything else lives in pages/ and sqrtscale/.

The server imports this file once and finds ``server`` in it; for each visitor Streamlit runs it again, as ``__main__``.
"""

import streamlit as st

import sqrtscale
from sqrtscale.ui import doors, frame, timers
from sqrtscale.ui.state import TAB, TITLE, all_shown, boundary, put_again, something_stored


def show() -> None:
    """Everything that a visitor sees."""
    boundary(sqrtscale.__version__)
    st.set_page_config(page_title=st.session_state.get(TAB, TITLE), page_icon=frame.ASSETS / "icon.png", layout="wide")
    st.logo(frame.ASSETS / "logo.svg", size="large")
    frame.show()
    page = st.navigation(
        [
            st.Page("pages/scale.py", title="Scale", default=True),
            st.Page("pages/calibrate.py", title="Calibrate"),
            st.Page("pages/judge.py", title="Judge logs"),
            st.Page("pages/results.py", title="Results"),
            st.Page("pages/compare.py", title="Compare"),
            st.Page("pages/lab.py", title="Lab"),
        ],
        position="top",
    )
    if something_stored():
        from sqrtscale.ui import running  # loads the store

        running.show(page.url_path)
    put_again()
    page.run()
    all_shown()


if __name__ == "__main__":
    show()
else:
    timers.end_with_their_page()
    server = st.App(__file__, middleware=doors.MIDDLEWARE, lifespan=doors.on_a_desktop)
