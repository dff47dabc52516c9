"""Tables of the Scale page. Strings throughout: a number is shown with the digits it has."""

from __future__ import annotations

import re

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


def base_beside_scaled(scaled: ScaledConfig) -> None:
    """Field, base, scaled and rule; blue is the base and orange the scaled value. Groups stand below the optimizer's own."""
    rows = [("Batch size", str(scaled.base.batch_size), str(scaled.target_batch), "chosen")]
    rows += [_answer(row, scaled.kappa) for row in scaled.fields]
    rows += [_answer(row, scaled.kappa, f"{escaped(group.name)}: ") for group in scaled.groups for row in group.fields]
    cells = [(name, f":blue[{base}]", f":red[{value}]" if value == NONE else f"**:orange[{value}]**", escaped(rule))
             for name, base, value, rule in rows]
    st.table(pd.DataFrame(cells, columns=["Field", ":blue[Base]", ":orange[Scaled]", "Rule"]), border="horizontal",
             hide_index=True, alt="Base and scaled value of every field, and the rule with its numbers")


def _answer(row: ScaledField, kappa: float, before: str = "") -> tuple[str, str, str, str]:
    value = NONE if row.scaled is None else format_number(row.scaled)
    return before + row.label, format_number(row.base), value, with_numbers(row, kappa)


def reasons(scaled: ScaledConfig) -> None:
    """Formula, reason, certainty and source of every field."""
    for row in scaled.rows:
        grounds = sentence(f"{row.status[0].upper()}{row.status[1:]}: {row.source}.")
        st.markdown(f"**{row.label}** `{greek(row.formula)}`  \n{sentence(row.reason)}  \n:gray[{grounds}]")
