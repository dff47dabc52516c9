"""A Plotly chart whose zoom and legend survive new data, which st.plotly_chart's do not (Streamlit 1.67)."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import plotly
import plotly.graph_objects as go
import streamlit as st

from ..home import app_folder

ASSETS = Path(__file__).parent / "assets"
LIBRARY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
SERVED = f"plotly-{plotly.__version__}.min.js"


@st.cache_resource(show_spinner=False)
def _publish() -> str:
    """Put Plotly's script, as its package carries it, where the server hands out static files; returns its address.

    Where that folder cannot be written (an installation of somebody else) the address is the script itself: slower, and it works.
    """
    folder = app_folder() / "static"
    copy = folder / SERVED
    try:
        if not copy.exists():
            folder.mkdir(exist_ok=True)
            part = copy.with_suffix(".part")
            shutil.copyfile(LIBRARY, part)
            part.replace(copy)  # whole or not at all
    except OSError:
        return f"data:text/javascript;base64,{base64.b64encode(LIBRARY.read_bytes()).decode()}"
    return f"app/static/{SERVED}"


def show(figure: go.Figure, key: str, alt: str) -> None:
    """Draw the figure; drawn again under the same key it keeps what the user zoomed and hid."""
    component = st.components.v2.component(
        "live_plot", html='<div class="live-plot" role="img"></div>', js=(ASSETS / "live_plot.js").read_text(),
        isolate_styles=False)
    figure.update_layout(template=None)
    component(key=key, data={"figure": figure.to_json(remove_uids=False), "source": _publish(), "alt": alt}, height="content")
    st.caption(alt)
