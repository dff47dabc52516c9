"""What a result depends on, and the command that makes it again."""

from __future__ import annotations

import streamlit as st

from ..report import command, version_note
from ..report.conditions import ran_on
from ..store import CalibrationRecord


def show(record: CalibrationRecord) -> None:
    """What it ran on, plan, environment and command."""
    if conditions := ran_on(record):
        st.caption("What it ran on and how fast, as a text to copy and send:")
        st.code(conditions, language=None, wrap_lines=True)
    st.caption("Everything that the result depends on: plan, package versions, device, commit.")
    st.json({"plan": record.plan.as_dict(), "environment": record.environment}, expanded=False)
    st.code(command(record.plan), language="bash", wrap_lines=True)
    if note := version_note(record.plan):
        st.caption(note)
