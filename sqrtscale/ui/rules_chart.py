"""Rival rules over kappa: which learning rate each gives, and which decay of the second moment, with the chosen kappa marked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from ..rules import DecayForm, FieldError, MomentumForm, ScaledConfig, TrainingConfig, family, scale
from ..rules.alternatives import alternatives
from ..rules.config import LARGEST_BATCH
from . import live_plot
from .colours import OTHER_DASHES, SCALED, UNSCALED, style

SPAN = 16  # shown from base / SPAN to base * SPAN, and further where the chosen kappa lies beyond
POINTS = 33
HEIGHT = 340
OWN = "This rule"
AWARE = "Noise-aware"
SECOND_MOMENT = ("beta2", "alpha")
WITH_A_STYLE = {"Unscaled": "unscaled", "Linear lr": "linear lr"}  # label -> arm of that name

Values = Mapping[str, Mapping[str, Any]]  # rule -> field -> value; a rule that gives nothing at that batch is left out


def show(scaled: ScaledConfig, noise_scale: float | None) -> None:
    """The figure with its caption."""
    live_plot.show(figure(scaled, noise_scale), key="rules-over-kappa",
                   alt="What each rule gives over κ. Orange: this rule. Points: the chosen κ. Where rules agree their lines lie "
                       "on each other.", file=live_plot.file_name(scaled.base.optimizer, "rules over kappa"))


def figure(scaled: ScaledConfig, noise_scale: float | None = None) -> go.Figure:
    """A panel for lr, and one for the decay of the second moment where the optimizer has one."""
    base, kappa = scaled.base, scaled.kappa
    span = max(SPAN, 2 * kappa, 2 / kappa)
    steps = [span ** (2 * i / (POINTS - 1) - 1) for i in range(POINTS)]
    batches = {min(max(1, round(base.batch_size * step)), LARGEST_BATCH) for step in steps}
    targets = tuple(sorted(batches | {base.batch_size, scaled.target_batch}))
    values = _over_kappa(base, targets, scaled.decay_form, scaled.momentum_form, scaled.lr_corrected, noise_scale)
    kappas, chosen = [target / base.batch_size for target in targets], targets.index(scaled.target_batch)
    fields = family(base.optimizer).fields
    names = ["lr", *(name for name in SECOND_MOMENT if name in fields)]
    panels = make_subplots(cols=len(names), horizontal_spacing=0.16,
                           subplot_titles=[f"{fields[name].label} over κ" for name in names])
    looks = _looks(list(dict.fromkeys(rule for at_target in values for rule in at_target)))
    for column, name in enumerate(names, 1):
        lines = {rule: [at_target.get(rule, {}).get(name) for at_target in values] for rule in looks}
        for rule, line in lines.items():
            panels.add_scatter(x=kappas, y=line, mode="lines", line=looks[rule], showlegend=column == 1, **_of(rule), row=1,
                               col=column)
        for rule in reversed(lines):  # ours on top
            if lines[rule][chosen] is not None:
                marker = {"color": looks[rule]["color"], "size": 11 if rule == OWN else 7}
                panels.add_scatter(x=[kappas[chosen]], y=[lines[rule][chosen]], mode="markers", marker=marker, showlegend=False,
                                   **_of(rule), row=1, col=column)
    panels.update_yaxes(exponentformat="e")
    panels.update_yaxes(type="log", dtick=1, col=1)
    panels.update_xaxes(type="log", tickvals=[4.0**i for i in range(-20, 21)], tickangle=0,
                        ticktext=[f"1/{4**-i}" if i < 0 else str(4**i) for i in range(-20, 21)],
                        range=[math.log10(kappas[0]), math.log10(kappas[-1])])
    panels.update_annotations(font_size=13)
    panels.update_layout(height=HEIGHT, margin={"l": 56, "r": 12, "t": 32, "b": 36}, hovermode="closest", uirevision="kept",
                         legend={"orientation": "h", "y": -0.15, "yanchor": "top", "x": 0})
    return panels


def _looks(rules: list[str]) -> dict[str, dict[str, Any]]:
    """Colour, dash and width of every rule's line, ours first."""
    looks: dict[str, dict[str, Any]] = {OWN: {"color": SCALED, "dash": "solid", "width": 4}} if OWN in rules else {}
    dashes = iter(OTHER_DASHES)
    for rule in rules:
        if rule != OWN:
            colour, dash = style(WITH_A_STYLE[rule]) if rule in WITH_A_STYLE else (UNSCALED, next(dashes))
            looks[rule] = {"color": colour, "dash": dash, "width": 2}
    return looks


def _of(rule: str) -> dict[str, str]:
    """What the traces of a rule share."""
    return {"name": rule, "legendgroup": rule, "hovertemplate": f"{rule}, κ = %{{x:.4g}}: %{{y:.6g}}<extra></extra>"}


@st.cache_data(max_entries=100, show_spinner=False, hash_funcs={TrainingConfig: hash})
def _over_kappa(config: TrainingConfig, targets: tuple[int, ...], form: DecayForm, momentum: MomentumForm, correct_lr: bool,
                noise_scale: float | None) -> list[Values]:
    """What every rule gives at every target batch."""
    return [_at(config, target, form, momentum, correct_lr, noise_scale) for target in targets]


def _at(config: TrainingConfig, target: int, form: DecayForm, momentum: MomentumForm, correct_lr: bool,
        noise_scale: float | None) -> Values:
    values: dict[str, Mapping[str, Any]] = {}
    with suppress(FieldError):  # a value leaves floating point, or there is nothing to correct lr by
        values[OWN] = {row.name: row.scaled for row in scale(config, target, form, momentum, correct_lr).fields}
    with suppress(FieldError):
        if noise_scale is not None:
            aware = scale(config, target, form, momentum, noise_scale=noise_scale)
            values[AWARE] = {row.name: row.scaled for row in aware.fields}
    with suppress(FieldError):
        values |= {rule.label: dict(rule.config.hyperparameters) for rule in alternatives(config, target, noise_scale)}
    return values

