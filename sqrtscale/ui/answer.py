"""The answer of the Scale page, from headline to share link."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import streamlit as st

from ..formats import snippets
from ..rules import FieldError, ScaledConfig
from . import forms, inputs, tables
from .inputs import Inputs, number


def refusal(errors: tuple[FieldError, ...]) -> None:
    """What is wrong, in place of an answer."""
    st.error("\n\n".join(tables.plain(str(error)) for error in errors), title="No scaled configuration yet")


def headline(scaled: ScaledConfig) -> None:
    """kappa and the two batches."""
    st.subheader(
        f"κ = {number(scaled.kappa)}: batch :blue[{scaled.base.batch_size}] → :orange[{scaled.target_batch}]",
        anchor=False, help="κ (kappa) is the target batch divided by the base batch.",
    )


def validity(scaled: ScaledConfig) -> None:
    """How far the decays reach, the warnings, and the other decay form beside a decay without a number."""
    limits = [(row.largest_kappa, row.label) for row in scaled.fields if row.largest_kappa is not None]
    if scaled.decay_form == "half-life":
        st.caption("Decays by half-life, β^κ: a number for every κ.")
    elif limits:
        largest, label = min(limits)
        batch = int(largest * scaled.base.batch_size + 1e-6)
        st.caption(f"The linear decays have a number up to κ = {number(largest)}, batch {batch}, set by {label}.")
    for warning in scaled.warnings:
        st.warning(tables.plain(warning))
    if not scaled.complete and any(row.half_life is not None and row.scaled is None for row in scaled.fields):
        st.button("Use the half-life form", on_click=forms.use_half_life, help=forms.DECAY_HELP)


def take_away(scaled: ScaledConfig, given: Inputs, link: dict[str, str]) -> None:
    """Calibrate, download, share."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link("pages/calibrate.py", label="**Calibrate this**", icon=":material/science:",
                     query_params=inputs.texts_of(given),
                     disabled=not scaled.complete, help="Train base and scaled side by side on real data.")
        name = f"sqrtscale-{scaled.base.optimizer}-{scaled.base.batch_size}-{scaled.target_batch}.json"
        st.download_button("Download JSON", as_json(scaled), name, "application/json",
                           on_click="ignore")
        with st.popover("Share"):
            st.caption("The address of this page holds every input. Copy it from here:")
            st.code(_address(link), language=None, wrap_lines=True)


def as_json(scaled: ScaledConfig) -> str:
    """The object that the command line prints with ``--json``."""
    return json.dumps(scaled.as_dict(), indent=2)


def snippet(scaled: ScaledConfig) -> None:
    """The scaled configuration to copy."""
    library = snippets.native(scaled.base.optimizer)
    st.code(snippets.snippet(scaled, library), language=snippets.SNIPPETS[library].language)


def _address(link: dict[str, str]) -> str:
    page = (st.context.url or "").split("?")[0].rstrip("/") + "/"
    return f"{page}?{urlencode(link)}" if link else page
