"""What a result depends on, and the command that makes it again."""

from __future__ import annotations

import streamlit as st

from ..report import command
from ..store import CalibrationRecord


def show(record: CalibrationRecord) -> None:
    """Plan, environment and command."""
    st.caption("Everything that the result depends on: plan, package versions, device, commit.")
    st.json({"plan": record.plan.as_dict(), "environment": record.environment}, expanded=False)
    st.code(command(record.plan), language="bash", wrap_lines=True)
