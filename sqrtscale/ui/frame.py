"""What surrounds every page: looks that the theme cannot say, and a menu that closes after a choice."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

ASSETS = Path(__file__).parent / "assets"


def show() -> None:
    """Before the page, in every run; takes no place on it."""
    st.html(ASSETS / "style.css")
    with st.container(key="menu"):
        st.html(f"<script>{(ASSETS / 'menu.js').read_text()}</script>", unsafe_allow_javascript=True)
