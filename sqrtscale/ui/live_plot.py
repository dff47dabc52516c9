"""A Plotly chart whose zoom and legend survive new data, which st.plotly_chart's do not (Streamlit 1.67)."""

from __future__ import annotations

import base64
import re
import shutil
import unicodedata
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


HTML = """<div class="live-plot-frame">
  <div class="live-plot-tools">
    <span role="status"></span>
    <button data-tool="png" title="Save the chart as a PNG picture">PNG</button>
    <button data-tool="svg" title="Save the chart as an SVG drawing">SVG</button>
    <button data-tool="reset" title="Show what the axes showed before you zoomed">Reset zoom</button>
    <button data-tool="full" title="Fill the screen with the chart, or leave it again">Full screen</button>
  </div>
  <div class="live-plot" role="img"></div>
</div>"""
LONGEST = 80  # characters of each part of a file's name


def file_name(*parts: str) -> str:
    """A name that every file system takes, of words in small letters: ``my-run-validation-loss``."""
    plain = (unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode().lower() for part in parts)
    return "-".join(filter(None, (re.sub(r"[^a-z0-9]+", "-", part).strip("-")[:LONGEST] for part in plain))) or "chart"


def identifier(name: str) -> str:
    """Another text for every name, fit for a CSS selector: Plotly (4.1) makes one of a trace's uid when it saves a picture."""
    return re.sub(r"[^A-Za-z0-9-]", lambda match: f"_{ord(match[0]):x}_", name)


def show(figure: go.Figure, key: str, alt: str, file: str = "chart") -> None:
    """Draw the figure; drawn again under the same key it keeps what the user zoomed and hid.

    alt: the caption, also for those who do not see the figure; file: the name of a saved picture, without its ending.
    """
    component = st.components.v2.component(
        "live_plot", html=HTML, js=(ASSETS / "live_plot.js").read_text(), css=(ASSETS / "live_plot.css").read_text(),
        isolate_styles=False)
    figure.update_layout(template=None)
    figure.for_each_trace(lambda trace: trace.update(uid=identifier(trace.uid)) if trace.uid else None)
    component(key=key, height="content", data={
        "figure": figure.to_json(remove_uids=False), "source": _publish(), "alt": alt, "file": file})
    st.caption(alt)
