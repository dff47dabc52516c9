"""The noise scale beside the batches of a calibration, so that one sees on which side of it the targets lie.

Pure but for ``show``: numbers go in, a figure comes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from ..plan import CalibrationPlan
from ..tasks import NoiseScale
from . import live_plot
from .colours import BASE, SCALED, UNSCALED, faint

HEIGHT = 150
BATCHES, SCALE = 0, 1  # lines of the figure, from below
BEYOND = 3.0  # the axis goes so many times beyond what it shows


def show(plan: CalibrationPlan, scale: NoiseScale) -> None:
    """The figure with its caption."""
    targets = plan.targets or (plan.target_batch,)
    live_plot.show(figure(plan.base.batch_size, targets, scale), key="noise-scale",
                   alt="The noise scale (the batch at which the mean gradient and its noise weigh the same) with its 95% "
                       "interval, and the batches. In the grey part the mean gradient wins: no batch there tests the rule.",
                   file=live_plot.file_name(plan.task, "noise scale"))


def figure(base: int, targets: Sequence[int], scale: NoiseScale) -> go.Figure:
    """Base and target batches on a logarithmic axis under the noise scale's interval; an interval may be open above."""
    value = math.inf if math.isnan(scale.value) else scale.value  # no signal was seen at all
    ends = [end for end in (base, *targets, scale.low, value, scale.high) if 0 < end < math.inf]
    low, high = min(ends) / BEYOND, max(ends) * BEYOND
    shown = [min(max(end, low), high) for end in (scale.low, value, scale.high)]
    drawn = go.Figure()
    if shown[2] < high:
        drawn.add_vrect(x0=shown[2], x1=high, fillcolor=faint(UNSCALED, 0.25), line_width=0, layer="below")
    interval = f"{scale.low:,.3g} to {scale.high:,.3g}"
    drawn.add_scatter(
        name="noise scale", x=[shown[1]], y=[SCALE], mode="markers", marker={"color": UNSCALED, "size": 10},
        error_x={"type": "data", "symmetric": False, "array": [shown[2] - shown[1]], "arrayminus": [shown[1] - shown[0]],
                 "color": UNSCALED, "thickness": 2.5, "width": 6},
        hovertemplate=f"noise scale {value:,.3g} ({interval})<extra></extra>")
    for name, batches, colour in (("base", [base], BASE), ("target", sorted(set(targets)), SCALED)):
        drawn.add_scatter(name=name, x=batches, y=[BATCHES] * len(batches), mode="markers+text", text=[str(b) for b in batches],
                          textposition="bottom center", marker={"color": colour, "size": 11},
                          hovertemplate=f"{name} batch %{{x}}<extra></extra>")
    drawn.update_xaxes(type="log", title_text="samples", range=[math.log10(low), math.log10(high)], dtick=1)
    drawn.update_yaxes(tickvals=[BATCHES, SCALE], ticktext=["batches", "noise scale"], range=[-0.9, 1.6], showgrid=False,
                       zeroline=False, fixedrange=True)
    drawn.update_layout(height=HEIGHT, margin={"l": 84, "r": 12, "t": 4, "b": 40}, hovermode="closest", uirevision="kept",
                        showlegend=False)
    return drawn
