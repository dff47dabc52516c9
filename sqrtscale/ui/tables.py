"""Tables of the Scale page. Strings throughout: a number is shown with the digits it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from ..rules import ScaledConfig, ScaledField
from .inputs import format_number

NONE = "no number"


def escaped(text: str) -> str:
    """Text as it is, with no character taken for Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#~|$:!^&])", r"\\\1", text)


def greek(text: str) -> str:
    """A sentence of rules, plans or evidence as pages write it: κ, which those spell kappa for terminals and files."""
    return re.sub(r"\bkappa\b", "κ", text)


def sentence(text: str) -> str:
    """Such a sentence that is no Markdown."""
    return escaped(greek(text))


def with_numbers(row: ScaledField, kappa: float) -> str:
    """The right-hand side of a field's formula with its numbers: ``√4 · 0.001``, or ``unchanged``."""
    side = row.formula.split(" = ", 1)[1]
    if side == row.name:
        return "unchanged"
    side = re.sub(rf"\b{row.name}\b", format_number(row.base), side)
    side = re.sub(r"\bkappa\b", format_number(kappa), side)
    side = re.sub(r"sqrt\(([^()]*)\)", r"√\1", side).replace(" * ", " · ")
    if row.scaled is None and row.half_life is not None:
        side += f", out of range; half-life gives {format_number(row.half_life)}"
    return side


def base_beside_scaled(transfers: Mapping[str, ScaledConfig], chosen: str) -> None:
    """Field, base (blue), a column for each transfer by its name (orange: the chosen one), and the rule where it is one alone.

    Groups stand below the optimizer's own fields.
    """
    scaled = transfers[chosen]
    names = ["Batch size", *(row.label for row in scaled.fields)]
    names += [f"{escaped(group.name)}: {row.label}" for group in scaled.groups for row in group.fields]
    table = {"Field": names, ":blue[Base]": [f":blue[{value}]" for value in (
        scaled.base.batch_size, *(format_number(row.base) for row in scaled.rows))]}
    for name, transfer in transfers.items():
        values = (transfer.target_batch, *(row.scaled for row in transfer.rows))
        table[f":orange[{name}]" if name == chosen else name] = [_cell(value, name == chosen) for value in values]
    if len(transfers) == 1:
        table["Rule"] = ["chosen", *(escaped(with_numbers(row, scaled.kappa)) for row in scaled.rows)]
    st.table(pd.DataFrame(table), border="horizontal", hide_index=True,
             alt="Base and scaled value of every field" + ", and the rule with its numbers" * (len(transfers) == 1))


def _cell(value: Any, chosen: bool) -> str:
    if value is None:
        return f":red[{NONE}]"
    text = format_number(value)
    return f"**:orange[{text}]**" if chosen else text


def reasons(scaled: ScaledConfig) -> None:
    """Formula, reason, certainty and source of every field."""
    for row in scaled.rows:
        grounds = sentence(f"{row.status[0].upper()}{row.status[1:]}: {row.source}.")
        st.markdown(f"**{row.label}** `{greek(row.formula)}`  \n{sentence(row.reason)}  \n:gray[{grounds}]")
