"""Everything over kappa: each hyperparameter, and how far the rule itself is off, with the chosen kappa marked."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from ..rules import DECAY_FORMS, DecayForm, FieldError, ScaledConfig, TrainingConfig, family, scale
from ..rules.config import LARGEST_BATCH
from ..rules.forecast import Forecast
from ..rules.validity import DecayRange, decays
from . import live_plot
from .colours import BASE, SCALED, UNSCALED, faint
from .inputs import number
from .tables import NONE

SPAN = 64  # shown from base / SPAN to base * SPAN, and further where the chosen kappa lies beyond
POINTS = 49
COLUMNS = 2  # as many as a telephone has room for
ROW_HEIGHT = 190


def show(scaled: ScaledConfig) -> None:
    """The figure with its caption, and how much the decays remember."""
    live_plot.show(figure(scaled), key="over-kappa",
                   alt="Every hyperparameter over κ. Blue: base. Orange: the chosen κ. Shaded: the linear decay has no number. "
                       "Drift and diffusion, per sample and over the base's: solid linear, dotted half-life.")
    _forms(scaled)


def _forms(scaled: ScaledConfig) -> None:
    """Both decay forms side by side: what they give, how much they remember, and what the difference does to the run."""
    at_base = decays(scaled.base, scaled.base.batch_size, momentum_form=scaled.momentum_form)
    if not at_base:
        return
    linear, half = (_there(scaled, form) or [None] * len(at_base) for form in DECAY_FORMS)
    rows = [(f"{base.group}: {base.name}" if base.group else base.name, _shown(one and one.scaled),
             _shown(other and other.scaled), _samples(base.half_life), _samples(one and one.scaled_half_life),
             number(base.largest_kappa))
            for base, one, other in zip(at_base, linear, half, strict=True)]
    st.table(pd.DataFrame(rows, columns=["Decay", "Linear", "β^κ", "Half-life in samples", "by the linear form", "Largest κ"]),
             border="horizontal", hide_index=True, alt="Every decay by the linear and by the half-life form")
    forecasts = [_scaled(scaled.base, scaled.target_batch, form, scaled.momentum_form)[1] for form in DECAY_FORMS]
    said = [f"{name}: drift {found.drift:.4f}, diffusion {found.diffusion:.4f}"
            for name, found in zip(("Linear", "β^κ"), forecasts, strict=True) if found]
    if said:
        st.caption("Of the base's, per sample, while noise dominates. " + "; ".join(said) + ".")


def _there(scaled: ScaledConfig, form: DecayForm) -> tuple[DecayRange, ...]:
    """Every decay at the target in that form; none where that form has no numbers at all."""
    try:
        return decays(scaled.base, scaled.target_batch, form, scaled.momentum_form)
    except FieldError:
        return ()


def _shown(value: float | None) -> str:
    return NONE if value is None else number(value)


def _samples(count: float | None) -> str:
    return NONE if count is None else f"{count:,.0f}" if count >= 100 else number(count)


@st.cache_data(max_entries=100, show_spinner=False, hash_funcs={TrainingConfig: hash})
def _at(config: TrainingConfig, targets: tuple[int, ...], form: str, momentum: str
        ) -> list[tuple[dict[str, Any], Forecast | None]]:
    """(field -> scaled value, forecast) for every target batch."""
    return [_scaled(config, target, form, momentum) for target in targets]


def _scaled(config: TrainingConfig, target: int, form: str, momentum: str) -> tuple[dict[str, Any], Forecast | None]:
    """(field -> scaled value, forecast); nothing at a batch where a value leaves floating point: a gap in every line."""
    try:
        found = scale(config, target, form, momentum)
    except FieldError:
        return {}, None
    return {row.name: row.scaled for row in found.fields}, found.forecast


def figure(scaled: ScaledConfig) -> go.Figure:
    """One small panel for every field with a number, and one each for drift and diffusion where they can be forecast."""
    base, kappa = scaled.base, scaled.kappa
    span = max(SPAN, 2 * kappa, 2 / kappa)
    steps = [span ** (2 * i / (POINTS - 1) - 1) for i in range(POINTS)]
    targets = tuple(sorted({min(max(1, round(base.batch_size * step)), LARGEST_BATCH) for step in steps} | {base.batch_size}))
    kappas = [target / base.batch_size for target in targets]
    values = _at(base, targets, scaled.decay_form, scaled.momentum_form)
    rows = [row for row in scaled.fields if row.name in family(base.optimizer).fields and row.base]
    moments = family(base.optimizer).moments
    titles = [row.label for row in rows] + (["Drift per sample", "Diffusion per sample"] if moments else [])
    height = -(-len(titles) // COLUMNS)
    found = make_subplots(rows=height, cols=COLUMNS, subplot_titles=titles, horizontal_spacing=0.16,
                          vertical_spacing=0.36 / max(height, 1))
    for i, row in enumerate(rows):
        where = dict(row=i // COLUMNS + 1, col=i % COLUMNS + 1)
        found.add_trace(_line(kappas, [one.get(row.name) for one, _ in values]), **where)
        found.add_trace(_mark(1, row.base, BASE, "base"), **where)
        if row.scaled is not None:
            found.add_trace(_mark(kappa, row.scaled, SCALED, "scaled"), **where)
        if row.largest_kappa and row.largest_kappa < kappas[-1] and scaled.decay_form == "linear":
            found.add_vrect(x0=row.largest_kappa, x1=kappas[-1], fillcolor=faint(UNSCALED, 0.18), line_width=0, **where)
        found.update_yaxes(**({"type": "linear"} if row.half_life is not None else {"type": "log", "dtick": 1}), **where)
    if moments:
        _forecasts(found, len(rows), scaled, kappas, targets)
    found.update_xaxes(type="log", tickvals=[8.0**i for i in range(-5, 6)], tickangle=0,
                       ticktext=[f"1/{8**-i}" if i < 0 else str(8**i) for i in range(-5, 6)],
                       range=[math.log10(kappas[0]), math.log10(kappas[-1])])
    found.update_yaxes(exponentformat="e", nticks=4)
    found.update_annotations(font_size=13)
    found.update_layout(height=ROW_HEIGHT * height + 40, margin={"l": 56, "r": 12, "t": 32, "b": 36}, showlegend=False,
                        hovermode="closest", uirevision="kept")
    return found


def _forecasts(found: go.Figure, first: int, scaled: ScaledConfig, kappas: list[float], targets: tuple[int, ...]) -> None:
    """Drift and diffusion of the scaled run over the base's, by both decay forms."""
    for form, dash in (("linear", "solid"), ("half-life", "dot")):
        there = [one for _, one in _at(scaled.base, targets, form, scaled.momentum_form)]
        lines = [[one and one.drift for one in there], [one and one.diffusion for one in there]]
        for i, line in enumerate(lines):
            where = dict(row=(first + i) // COLUMNS + 1, col=(first + i) % COLUMNS + 1)
            found.add_trace(_line(kappas, line, dash, f"{form}: "), **where)
            if form == "linear":
                found.add_trace(_mark(1, 1, BASE, "base"), **where)
            at = min(range(len(kappas)), key=lambda j: abs(math.log(kappas[j] / scaled.kappa)))
            if form == scaled.decay_form and line[at] is not None:
                found.add_trace(_mark(kappas[at], line[at], SCALED, "scaled"), **where)


def _line(x: list[float], y: list[float | None], dash: str = "solid", before: str = "") -> go.Scatter:
    return go.Scatter(x=x, y=y, mode="lines", line={"color": UNSCALED, "width": 2, "dash": dash}, name="",
                      hovertemplate=f"{before}κ = %{{x:.4g}}: %{{y:.6g}}<extra></extra>")


def _mark(x: float, y: float, colour: str, name: str) -> go.Scatter:
    return go.Scatter(x=[x], y=[y], mode="markers", marker={"color": colour, "size": 10}, name=name,
                      hovertemplate=f"{name}, κ = %{{x:.6g}}: %{{y:.8g}}<extra></extra>")
