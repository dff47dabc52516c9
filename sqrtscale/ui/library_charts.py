"""The figure of the library: verdicts over kappa and the noise scale. Pure: places go in, a figure comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ..evidence import OUTCOMES
from ..report.library import Place
from ..rules import family
from ..tasks import without_version
from .colours import UNSCALED, faint
from .difference_charts import SYMBOLS

# A colour and a mark of its own: readable on both themes, and without colours.
MARKS = {"matches": ("#16A34A", "circle"), "differs": ("#DC2626", "x"), "cannot tell": ("#D97706", "diamond-open"),
         "not a test": (UNSCALED, "square-open")}
MOST_INTERVALS = 60  # more of them hide the marks


def verdicts(places: Sequence[Place]) -> go.Figure:
    """A mark for every calibration: kappa along x, up the larger of its batches in noise scales; signal dominates above 1."""
    figure = go.Figure()
    shares = [share for place in places for share in (place.share, 1.0)]
    low, high = (float(np.log10(end)) for end in (min(shares), max(shares)))
    bottom, top = low - 0.35, max(high + 0.35, 0.5)
    band = {"xref": "paper", "x0": 0, "x1": 1}
    figure.add_shape(type="rect", layer="below", fillcolor=faint(UNSCALED, 0.16), line={"width": 0}, y0=1, y1=10**top, **band)
    figure.add_shape(type="line", layer="below", line={"color": UNSCALED, "width": 1.5, "dash": "dot"}, y0=1, y1=1, **band)
    figure.add_annotation(text="signal dominates", xref="paper", x=0, y=0, xanchor="left", yanchor="bottom", showarrow=False)
    for outcome in OUTCOMES:
        chosen = [place for place in places if place.calibration.outcome == outcome]
        if chosen:
            figure.add_trace(_marks(outcome, chosen, len(places) <= MOST_INTERVALS, 10**bottom, 10**top))
    figure.update_layout(
        height=380, margin={"l": 64, "r": 12, "t": 36, "b": 52}, hovermode="closest", uirevision="kept",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        xaxis={"title": {"text": "κ: target batch over base batch"}, "type": "log", "automargin": True,
               **_powers_of_two([place.kappa for place in places])},
        yaxis={"title": {"text": "Larger batch over noise scale"}, "type": "log", "range": [bottom, top], "automargin": True,
               "tickvals": (ticks := _ticks(bottom, top)), "ticktext": [f"{tick:g}" for tick in ticks]})
    return figure


def _marks(outcome: str, places: Sequence[Place], intervals: bool, bottom: float, top: float) -> go.Scatter:
    """The calibrations with that outcome; hovering names them."""
    colour, symbol = MARKS[outcome]
    shares = np.array([place.share for place in places])
    low, high = (np.clip([getattr(place, end) for place in places], bottom, top) for end in ("low", "high"))
    return go.Scatter(
        uid=outcome, name=f"{SYMBOLS[outcome]} {outcome}", x=[place.kappa for place in places], y=shares, mode="markers",
        marker={"color": colour, "size": 12, "symbol": symbol, "line": {"width": 2, "color": colour}}, cliponaxis=False,
        customdata=[_words(place) for place in places], hovertemplate="%{customdata}<extra></extra>", showlegend=True,
        error_y={"type": "data", "array": np.maximum(high - shares, 0), "arrayminus": np.maximum(shares - low, 0),
                 "color": faint(colour, 0.5), "thickness": 1.5, "width": 4} if intervals else None)


def _words(place: Place) -> str:
    row = place.calibration
    name = row.title.replace("<", "&lt;")
    scale = f"noise scale above {row.noise_low:.3g}" if place.bound else f"noise scale {row.noise_scale:.3g}"
    task = without_version(row.task)
    trained = f"{family(row.optimizer).label}, {task}" if row.optimizer else task  # of imported runs it is not known
    return (f"<b>{name}</b><br>{SYMBOLS[row.outcome]} {row.outcome}<br>{trained}, batch "
            f"{row.base_batch} → {row.target_batch}, κ = {place.kappa:.4g}<br>{scale} samples<br>{row.created_at:%Y-%m-%d}")


def _ticks(bottom: float, top: float) -> list[float]:
    """1, 2 and 5 times each power of ten between the two; the powers alone where they are many."""
    steps = (1, 2, 5) if top - bottom < 3 else (1,)
    return [step * 10.0**power for power in range(math.floor(bottom), math.ceil(top)) for step in steps]


def _powers_of_two(kappas: Sequence[float]) -> dict[str, object]:
    """Ticks at the powers of two around what there is, and an axis that goes half a step beyond."""
    powers = [math.log2(kappa) for kappa in kappas]
    first, last = math.floor(min(powers)), math.ceil(max(powers))
    values = [2.0**power for power in range(first, last + 1, max(1, (last - first) // 10))]
    return {"range": [math.log10(2) * (first - 0.5), math.log10(2) * (last + 0.5)], "tickvals": values,
            "ticktext": [f"{value:g}" if value >= 1 else f"1/{1 / value:g}" for value in values]}
