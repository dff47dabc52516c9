"""Figures of the lab. Pure: results of ``sqrtscale.lab`` go in, figures come out.

Teal is the SDE, amber the discrete algorithm, with a dash and a symbol for each learning rate; blue and orange are the base and
the scaled configuration, as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..lab import RIGHT, Course, Level, Path, Quantiles, WeakError
from ..lab.statistics import NORMAL
from ..lab.stored import shown_steps
from .colours import BASE, SCALED, UNSCALED, faint

SDE, DISCRETE, RIVAL = "#0D9488", "#B45309", "#8B94A3"
ETAS = ("η", "η/2", "η/4")
DASHES = ("solid", "dash", "dot")
SYMBOLS = ("circle", "square", "diamond")
FUNCTION_COLOURS = ("#B45309", "#7C3AED", "#DB2777", "#0891B2")
LABELS = {"E x": "E x", "E x^2": "E x²", "E 1/(1+x^2)": "E 1/(1+x²)", "E loss": "E loss", "E tanh x": "E tanh x"}
FEW_TICKS = 100  # of the largest over the smallest, up to which 2 and 5 are ticks as well as 1
ROUNDING = 1e-4  # of places in stored results, and more
FRAMES = 32  # of the paths, over the whole time
FRAME_TIME = 90  # milliseconds
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}
MARGIN = {"l": 64, "r": 12, "t": 36, "b": 52}


class Mark(NamedTuple):
    """An upright line on the axis 1 - beta2."""

    name: str
    one_minus_beta2: float
    colour: str


def marks(one_minus_beta2: float, kappa: float) -> tuple[Mark, ...]:
    """Where a configuration is and where kappa times its batch is; not where its rule has no number any more."""
    here = Mark("you are here", one_minus_beta2, BASE)
    there = Mark(f"κ = {kappa:.4g} times here", kappa * one_minus_beta2, SCALED)
    return (here, *([there] if kappa != 1 and there.one_minus_beta2 < 1 else []))


def courses(outcome: WeakError, function: str) -> go.Figure:
    """Above: E phi over time under the SDE and at eta, eta/2 and eta/4, with bands. Below: how far they are from the SDE."""
    of = {course.h: course for course in outcome.courses if course.test_function == function}
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.1, row_heights=[0.6, 0.4])
    sde = of[None]
    figure.add_traces([_band(sde, SDE), _curve(sde, sde.values, outcome.limit, SDE, width=4)])
    for place, h in enumerate(h for h in shown_steps(outcome) if h in of):
        course, level = of[h], _level(outcome, function, h)
        upper, lower = (_curve(course, values, ETAS[place], DISCRETE, dash=DASHES[place], symbol=SYMBOLS[place]) for values in (
            course.values, [value - other for value, other in zip(course.values, sde.values, strict=True)]))
        figure.add_traces([_band(course, DISCRETE), upper])
        spread = [None] * (len(course.times) - 1) + [NORMAL * level.standard_error]
        lower.update(showlegend=False, error_y={"array": spread, "width": 0, "thickness": 1.5})
        figure.add_trace(lower, row=2, col=1)
    figure.add_hline(0, row=2, col=1, line={"color": SDE, "width": 2.5})
    label = LABELS.get(function, function)
    figure.update_xaxes(title={"text": "Time (the same for all: steps × η²)"}, row=2, col=1)
    figure.update_yaxes(automargin=True, title={"text": label}, row=1, col=1)
    figure.update_yaxes(automargin=True, title={"text": f"{label} minus the {outcome.limit}'s"}, nticks=5, row=2, col=1)
    figure.update_layout(height=520, margin=MARGIN, legend=LEGEND, hovermode="x unified", uirevision="kept")
    return figure


def errors(outcome: WeakError, marked: Sequence[Mark] = (), wrong: Sequence[WeakError] = ()) -> go.Figure:
    """|error| of every test function over 1 - beta2, with the predicted slope; wrong: other rules, the first function of each.

    Hollow: lost in its noise. signSGD has no beta2: its axis is h.
    """
    figure = go.Figure()
    for place, function in enumerate(outcome.test_functions):
        levels = [level for level in outcome.levels if level.test_function == function and level.error]
        colour = FUNCTION_COLOURS[place % len(FUNCTION_COLOURS)]
        figure.add_scatter(
            x=[_x(level) for level in levels], y=[abs(level.error) for level in levels], mode="lines+markers",
            name=LABELS.get(function, function), line={"color": colour, "width": 1.5},
            marker={"color": colour, "size": 9, "symbol": ["circle" if level.is_clear else "circle-open" for level in levels]},
            error_y={"array": [NORMAL * level.standard_error * level.is_clear for level in levels], "width": 4, "thickness": 1.2},
            customdata=[[level.kappa, level.error] for level in levels],
            hovertemplate="%{customdata[1]:.3g} at κ = %{customdata[0]:.4g}")
    first = outcome.test_functions[0]
    for place, other in enumerate(wrong):
        levels = [level for level in other.levels if level.test_function == first and level.error and level.kappa != 1]
        figure.add_scatter(x=[_x(level) for level in levels], y=[abs(level.error) for level in levels], mode="lines+markers",
                           name=f"{LABELS[first]}, {other.experiment.rule}", marker={"symbol": "x-thin-open", "size": 8},
                           line={"color": RIVAL, "width": 1.5, "dash": ("dash", "dot", "dashdot")[place % 3]})
    for slope in dict.fromkeys((1.0, outcome.predicted_slope)):
        if slope and outcome.experiment.rule == RIGHT:
            figure.add_trace(_guide(outcome, first, slope))
    known = [abs(level.error) for each in (outcome, *wrong) for level in each.levels if level.error]
    for mark in marked if known else ():  # traces, because a line across a logarithmic axis stretches it
        figure.add_scatter(x=[mark.one_minus_beta2] * 2, y=[min(known), max(known)], mode="lines", name=mark.name,
                           line={"color": mark.colour, "width": 2.5, "dash": "longdash"},
                           hovertemplate=f"{mark.name}: %{{x:.4g}}")
    axis = "h = η²" if outcome.levels[0].one_minus_beta2 is None else "1 − β2 (grows with the batch)"
    xs = [x for trace in figure.data for x in trace.x]
    ends = math.log10(min(xs)), math.log10(max(xs))
    room = max(0.04 * (ends[1] - ends[0]), 0.02)  # Plotly ends at lines without markers, and cuts them in half
    figure.update_xaxes(type="log", title={"text": axis}, automargin=True, range=[ends[0] - room, ends[1] + room], **_ticks(xs))
    figure.update_yaxes(type="log", title={"text": f"|error against the {outcome.limit}|"}, automargin=True, dtick=1,
                        exponentformat="power")
    figure.update_layout(height=440, margin=MARGIN, legend=LEGEND, hovermode="closest", uirevision="kept")
    return figure


def paths(outcome: WeakError, h: float) -> go.Figure:
    """Quantiles of x over time under the SDE (filled) and at that step (lines), and a path of each, which frames play."""
    quantiles = {each.h: each for each in outcome.quantiles}
    walked = {path.h: path for path in outcome.paths if path.number == 0}
    figure = go.Figure([*_fan(quantiles[None], outcome.limit), *_lines(quantiles[h])])
    moving = [len(figure.data), len(figure.data) + 1]
    times = walked[None].times
    end = times[-1]
    figure.add_traces(_walk(walked, h, end, outcome.limit))
    ends = [times[0] + (end - times[0]) * i / FRAMES for i in range(FRAMES + 1)]
    figure.frames = [go.Frame(name=f"{t:.4g}", data=_walk(walked, h, t, outcome.limit), traces=moving) for t in ends]
    play = {"frame": {"duration": FRAME_TIME, "redraw": False}, "transition": {"duration": 0}, "fromcurrent": True}
    jump = {"frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}, "mode": "immediate"}
    names = [frame.name for frame in figure.frames]
    figure.update_layout(
        height=570, margin=MARGIN | {"b": 190}, legend=LEGEND, hovermode="closest", uirevision="kept",
        xaxis={"title": {"text": "Time", "standoff": 4}, "range": [times[0], end], "automargin": True},
        yaxis={"title": {"text": "x"}, "automargin": True},
        updatemenus=[{"type": "buttons", "direction": "left", "x": 0, "y": -0.3, "xanchor": "left", "yanchor": "top",
                      "pad": {"t": 4}, "showactive": False, "bgcolor": "rgba(127,127,127,0.12)",
                      "bordercolor": "rgba(127,127,127,0.5)",
                      "buttons": [{"label": "▶ Play", "method": "animate", "args": [names, play | {"fromcurrent": False}]},
                                  {"label": "Pause", "method": "animate", "args": [[None], jump]}]}],
        sliders=[{"active": FRAMES, "x": 0, "len": 1, "y": -0.46, "yanchor": "top", "pad": {"t": 0},
                  "currentvalue": {"visible": False}, "bgcolor": "rgba(127,127,127,0.25)", "ticklen": 0,
                  "steps": [{"label": "", "method": "animate", "args": [[name], jump]} for name in names]}])
    return figure


def _x(level: Level) -> float:
    return level.h if level.one_minus_beta2 is None else level.one_minus_beta2


def _ticks(xs: Sequence[float]) -> dict[str, list[Any]]:
    """Ticks of a logarithmic axis with whole numbers: Plotly writes 2 and 5 for what stands between powers of ten."""
    low, high = min(xs), max(xs)
    digits = (1, 2, 5) if high < FEW_TICKS * low else (1,)
    values = [digit * 10.0**power for power in range(math.floor(math.log10(low)), 1) for digit in digits]
    return {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def _level(outcome: WeakError, function: str, h: float) -> Level:
    return next(level for level in outcome.levels if level.test_function == function and level.h == h)


def _curve(course: Course, values: Sequence[float], name: str, colour: str, width: float = 2, dash: str = "solid",
           symbol: str | None = None) -> go.Scatter:
    return go.Scatter(x=course.times, y=values, name=name, legendgroup=name, mode="lines" if symbol is None else "lines+markers",
                      line={"color": colour, "width": width, "dash": dash}, marker={"color": colour, "size": 7, "symbol": symbol},
                      hovertemplate="%{y:.4g}")


def _band(course: Course, colour: str) -> go.Scatter:
    """The 95 % interval of the mean."""
    values, spread = np.array(course.values), NORMAL * np.array(course.standard_errors)
    return go.Scatter(x=[*course.times, *course.times[::-1]], y=[*(values - spread), *(values + spread)[::-1]], mode="lines",
                      fill="toself", fillcolor=faint(colour, 0.2), line={"width": 0}, hoverinfo="skip", showlegend=False)


def _guide(outcome: WeakError, function: str, slope: float) -> go.Scatter:
    """A line of that slope through the largest step's error."""
    levels = [level for level in outcome.levels if level.test_function == function]
    last = max(levels, key=_x)
    xs = [_x(level) for level in levels]
    ys = [abs(last.error) * (x / _x(last)) ** slope for x in xs]
    return go.Scatter(x=xs, y=ys, mode="lines", name=f"slope {slope:.2g}", hoverinfo="skip",
                      line={"color": UNSCALED, "width": 2, "dash": "dot" if slope == 1 else "dashdot"})


def _fan(of: Quantiles, limit: str) -> list[go.Scatter]:
    """The ranges that hold 90 and 50 of 100 chains of the SDE or limit, and the median."""
    rows = dict(zip(of.probabilities, of.values, strict=True))
    fan = [go.Scatter(x=[*of.times, *of.times[::-1]], y=[*rows[low], *rows[1 - low][::-1]], mode="lines", fill="toself",
                      line={"width": 0}, fillcolor=faint(SDE, 0.16), hoverinfo="skip", showlegend=low == 0.05,
                      name=f"90% and 50% of the {limit}", legendgroup="fan") for low in (0.05, 0.25)]
    return [*fan, go.Scatter(x=of.times, y=rows[0.5], mode="lines", line={"color": faint(SDE, 0.7), "width": 1.5},
                             showlegend=False, legendgroup="fan",
                             hovertemplate=f"median of the {limit}: %{{y:.3g}}<extra></extra>")]


def _lines(of: Quantiles) -> list[go.Scatter]:
    """The same quantiles of the discrete algorithm."""
    return [go.Scatter(x=of.times, y=row, mode="lines+markers", line={"color": faint(DISCRETE, 0.8), "width": 1.2, "dash": "dot"},
                       marker={"color": DISCRETE, "size": 4}, name="the same of the algorithm", legendgroup="lines",
                       showlegend=probability == of.probabilities[0],
                       hovertemplate=f"{probability:.0%} of the algorithm: %{{y:.3g}}<extra></extra>")
            for probability, row in zip(of.probabilities, of.values, strict=True)]


def _walk(walked: dict[float | None, Path], h: float, until: float, limit: str) -> list[go.Scatter]:
    """Both paths up to that time; the algorithm stands still between its steps."""
    traces = []
    looks = ((None, f"one path of the {limit}", SDE, "linear"), (h, "the algorithm, same noise", DISCRETE, "hv"))
    for step, name, colour, shape in looks:
        path = walked[step]
        kept = sum(time <= until + 1e-9 for time in path.times)
        traces.append(go.Scatter(x=path.times[:kept], y=path.values[:kept], mode="lines", name=name, hovertemplate="%{y:.3g}",
                                 line={"color": colour, "width": 2.5, "shape": shape}))
    return traces


def read_off(outcome: WeakError, function: str, one_minus_beta2: float) -> tuple[float, bool] | None:
    """(|error| at that place, whether it lies beyond the steps that were measured); None where the nearest level is noise.

    By the nearest level and the slope that is expected.
    """
    levels = [level for level in outcome.levels if level.test_function == function and level.one_minus_beta2]
    if not levels:
        return None
    nearest = min(levels, key=lambda level: abs(math.log(_x(level) / one_minus_beta2)))
    if not nearest.is_clear:
        return None
    low, high = min(map(_x, levels)), max(map(_x, levels))
    beyond = not low * (1 - ROUNDING) <= one_minus_beta2 <= high * (1 + ROUNDING)
    return abs(nearest.error) * (one_minus_beta2 / _x(nearest)) ** outcome.experiment.expected_slope, beyond
