"""Everything over kappa: each hyperparameter, and how far the rule itself is off, with the chosen kappa marked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from ..rules import (
    DECAY_FORMS,
    DecayForm,
    FieldError,
    MomentumForm,
    ScaledConfig,
    TrainingConfig,
    family,
    scale,
    signal,
)
from ..rules.config import LARGEST_BATCH
from ..rules.forecast import Forecast
from ..rules.validity import DecayRange, decays
from . import live_plot
from .colours import BASE, SCALED, UNSCALED, faint
from .inputs import format_number
from .tables import NONE

SPAN = 64  # shown from base / SPAN to base * SPAN, and further where the chosen kappa lies beyond
POINTS = 49
COLUMNS = 2  # as many as fit on a telephone
ROW_HEIGHT = 190


def show(scaled: ScaledConfig, aware: ScaledConfig | None = None) -> None:
    """The figure with its caption, and how much the decays remember; aware: the noise-aware transfer, where it is known."""
    live_plot.show(figure(scaled, aware), key="over-kappa",
                   alt="Every hyperparameter over κ. Blue: base. Orange: the chosen κ. Shaded: the linear decay has no number. "
                       "Drift (how far the weights move along the mean gradient) and diffusion (how far its noise moves them), "
                       "per sample and over the base's: solid linear, dotted half-life."
                       + (f" {_noise_limits(aware)}" if aware else ""),
                   file=live_plot.file_name(scaled.base.optimizer, "over kappa"))
    _forms(scaled)


def _noise_limits(aware: ScaledConfig) -> str:
    """How to read the noise-aware lines, and how far a target may go."""
    batch, noise = aware.base.batch_size, aware.noise_scale[""]
    if not aware.follows_noise_scale:
        return aware.which_rule
    reach, down = signal.reach(batch, noise), signal.reach_down(batch, noise)
    if aware.kappa < 1:
        furthest = f"down to κ = {down:.3g}, batch {down * batch:.0f}" if down else "at every smaller batch"
        return f"Dashed, hollow: noise-aware. The square root is right to within {signal.WORTH_A_RULE:.0%} {furthest}."
    return (f"Dashed, hollow: noise-aware. The square root is right to within {signal.WORTH_A_RULE:.0%} up to κ = {reach:.3g}, "
            f"batch {reach * batch:.0f}; at the upright line, κ = {noise / batch:.3g}, the target reaches the noise scale.")


def _forms(scaled: ScaledConfig) -> None:
    """Both decay forms side by side: what they give, how much they remember, and what the difference does to the run."""
    at_base = decays(scaled.base, scaled.base.batch_size, momentum_form=scaled.momentum_form)
    if not at_base:
        return
    linear, half_life = (_at_target(scaled, form) or (None,) * len(at_base) for form in DECAY_FORMS)
    rows = [(f"{base.group}: {base.name}" if base.group else base.name, _scaled_value(by_linear),
             _scaled_value(by_half_life), _samples(base.half_life),
             _samples(by_linear.scaled_half_life if by_linear else None), format_number(base.largest_kappa))
            for base, by_linear, by_half_life in zip(at_base, linear, half_life, strict=True)]
    st.table(pd.DataFrame(rows, columns=["Decay", "Linear", "β^κ", "Half-life in samples", "by the linear form", "Largest κ"]),
             border="horizontal", hide_index=True, alt="Every decay by the linear and by the half-life form")
    forecasts = [_scaled(scaled.base, scaled.target_batch, form, scaled.momentum_form)[1] for form in DECAY_FORMS]
    texts = [f"{name}: drift {forecast.drift:.4f}, diffusion {forecast.diffusion:.4f}"
             for name, forecast in zip(("Linear", "β^κ"), forecasts, strict=True) if forecast]
    if texts:
        st.caption("Of the base's, per sample, while noise dominates. " + "; ".join(texts) + ".")


def _at_target(scaled: ScaledConfig, form: DecayForm) -> tuple[DecayRange, ...]:
    """Every decay at the target in that form; none where that form has no numbers at all."""
    try:
        return decays(scaled.base, scaled.target_batch, form, scaled.momentum_form)
    except FieldError:
        return ()


def _scaled_value(decay: DecayRange | None) -> str:
    return NONE if decay is None or decay.scaled is None else format_number(decay.scaled)


def _samples(count: float | None) -> str:
    return NONE if count is None else f"{count:,.0f}" if count >= 100 else format_number(count)


@st.cache_data(max_entries=100, show_spinner=False, hash_funcs={TrainingConfig: hash})
def _at(config: TrainingConfig, targets: tuple[int, ...], form: DecayForm, momentum: MomentumForm,
        noise_scale: float | None = None) -> list[tuple[dict[str, Any], Forecast | None]]:
    """(field -> scaled value, forecast) for every target batch."""
    return [_scaled(config, target, form, momentum, noise_scale) for target in targets]


def _scaled(config: TrainingConfig, target: int, form: DecayForm, momentum: MomentumForm, noise_scale: float | None = None
            ) -> tuple[dict[str, Any], Forecast | None]:
    """(field -> scaled value, forecast); nothing at a batch where a value leaves floating point: a gap in every line."""
    try:
        scaled = scale(config, target, form, momentum, noise_scale=noise_scale)
    except FieldError:
        return {}, None
    return {row.name: row.scaled for row in scaled.fields}, scaled.forecast


def figure(scaled: ScaledConfig, aware: ScaledConfig | None = None) -> go.Figure:
    """One small panel for every field with a number, and one each for drift and diffusion where they can be forecast.

    aware: the noise-aware transfer, a line of its own where it moves a field otherwise.
    """
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
    panels = make_subplots(rows=height, cols=COLUMNS, subplot_titles=titles, horizontal_spacing=0.16,
                           vertical_spacing=0.36 / max(height, 1))
    for i, row in enumerate(rows):
        place = dict(row=i // COLUMNS + 1, col=i % COLUMNS + 1)
        line = [fields.get(row.name) for fields, _ in values]
        panels.add_trace(_line(kappas, line), **place)
        if aware is not None:
            _noise_aware(panels, aware, row.name, dict(zip(targets, line, strict=True)), place)
        panels.add_trace(_mark(1, row.base, BASE, "base"), **place)
        if row.scaled is not None:
            panels.add_trace(_mark(kappa, row.scaled, SCALED, "scaled"), **place)
        if row.largest_kappa and row.largest_kappa < kappas[-1] and scaled.decay_form == "linear":
            panels.add_vrect(x0=row.largest_kappa, x1=kappas[-1], fillcolor=faint(UNSCALED, 0.18), line_width=0, **place)
        panels.update_yaxes(**({"type": "linear"} if row.half_life is not None else {"type": "log", "dtick": 1}), **place)
    if moments:
        _forecasts(panels, len(rows), scaled, kappas, targets)
    panels.update_xaxes(title={"text": "κ", "standoff": 2}, type="log", tickvals=[8.0**i for i in range(-5, 6)], tickangle=0,
                       ticktext=[f"1/{8**-i}" if i < 0 else str(8**i) for i in range(-5, 6)],
                       range=[math.log10(kappas[0]), math.log10(kappas[-1])])
    panels.update_yaxes(exponentformat="e", nticks=4)
    panels.update_annotations(font_size=13)
    panels.update_layout(height=ROW_HEIGHT * height + 52, margin={"l": 56, "r": 12, "t": 32, "b": 48}, showlegend=False,
                        hovermode="closest", uirevision="kept")
    return panels


def _noise_aware(panels: go.Figure, aware: ScaledConfig, name: str, by_rule: Mapping[int, float | None], place: Mapping[str, int]
                 ) -> None:
    """A field by the noise scale, where that moves it otherwise than the rule, and where a target reaches the noise scale.

    by_rule: its value at every target batch.
    """
    batch, noise = aware.base.batch_size, aware.noise_scale[""]
    values = _at(aware.base, tuple(by_rule), aware.decay_form, aware.momentum_form, noise)
    line = [fields.get(name) for fields, _ in values]
    if line == list(by_rule.values()):
        return
    kappas = [target / batch for target in by_rule]
    panels.add_trace(_line(kappas, line, "dash", "noise-aware, "), **place)
    value = next(row.scaled for row in aware.fields if row.name == name)
    panels.add_trace(_mark(aware.kappa, value, SCALED, "noise-aware", "circle-open"), **place)
    if kappas[0] < noise / batch < kappas[-1]:
        panels.add_vline(x=noise / batch, line={"color": UNSCALED, "width": 1.5, "dash": "dot"}, **place)


def _forecasts(panels: go.Figure, first: int, scaled: ScaledConfig, kappas: list[float], targets: tuple[int, ...]) -> None:
    """Drift and diffusion of the scaled run over the base's, by both decay forms."""
    for form, dash in zip(DECAY_FORMS, ("solid", "dot"), strict=True):
        forecasts = [forecast for _, forecast in _at(scaled.base, targets, form, scaled.momentum_form)]
        lines = [[None if forecast is None else forecast.drift for forecast in forecasts],
                 [None if forecast is None else forecast.diffusion for forecast in forecasts]]
        for i, line in enumerate(lines):
            place = dict(row=(first + i) // COLUMNS + 1, col=(first + i) % COLUMNS + 1)
            panels.add_trace(_line(kappas, line, dash, f"{form}: "), **place)
            if form == "linear":
                panels.add_trace(_mark(1, 1, BASE, "base"), **place)
            nearest = min(range(len(kappas)), key=lambda j: abs(math.log(kappas[j] / scaled.kappa)))
            value = line[nearest]
            if form == scaled.decay_form and value is not None:
                panels.add_trace(_mark(kappas[nearest], value, SCALED, "scaled"), **place)


def _line(x: list[float], y: list[float | None], dash: str = "solid", before: str = "") -> go.Scatter:
    return go.Scatter(x=x, y=y, mode="lines", line={"color": UNSCALED, "width": 2, "dash": dash}, name="",
                      hovertemplate=f"{before}κ = %{{x:.4g}}: %{{y:.6g}}<extra></extra>")


def _mark(x: float, y: float, colour: str, name: str, symbol: str = "circle") -> go.Scatter:
    return go.Scatter(x=[x], y=[y], mode="markers", marker={"color": colour, "size": 10, "symbol": symbol}, name=name,
                      hovertemplate=f"{name}, κ = %{{x:.6g}}: %{{y:.8g}}<extra></extra>")
