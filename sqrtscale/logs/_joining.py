"""Series as they were written become curves: parts joined, resumed runs marked, what was written twice taken once, sorted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ._logs import AXES, Curve

ORDERED = 3  # points that a log moves on by, on average, before it goes back: fewer, and it is not written in order


def join(metric: str, parts: Sequence[pd.DataFrame], window: int | None = None) -> tuple[Curve | None, list[str]]:
    """One curve from its parts, in the order in which they were written, and what was done to them.

    Where a run goes back it was resumed from there: what was written before beyond that point is of a training that was given
    up, and is left out. A log that goes back all the time is only sorted. None where no point stands anywhere.
    """
    axes = [axis for axis in AXES if all(axis in part for part in parts)]
    if not axes:
        return None, ["its files count points in different units and were left out: name a column that all have"]
    table = np.concatenate([part[[*axes, "value"]].to_numpy(float) for part in parts])  # [points, axes and value]
    missing = np.isnan(table[:, :-1]).mean(0)
    order: list[int] = sorted(
        np.flatnonzero(missing < 1).tolist(), key=lambda column: missing[column] > 0
    )  # one that all points have comes first
    if not order:
        return None, ["says of no point where it stands, and was left out"]
    table = table[:, [*order, -1]]
    said: list[str] = []
    if order[0] != min(order):
        said.append(f"has points without {_words(axes[min(order)])}, and stands in the order of {_words(axes[order[0]])}")
    axes = [axes[column] for column in order]
    known = np.isfinite(table[:, 0])
    if not known.all():
        said.append(f"left out where {_words(axes[0])} is missing")
        table = table[known]
    if not len(table):
        return None, said
    if (np.diff(table[:, 0]) <= 0).any():
        table = table[~pd.DataFrame(table[:, [0, -1]]).duplicated().to_numpy()]  # a copy of what was there is no going back
    written, back = len(table), _back(table[:, 0])
    resumed_at: tuple[float, ...] = ()
    if len(back) and ORDERED * len(back) <= len(table):
        resumed_at = tuple(table[back, 0].tolist())
        table = table[_kept(table[:, 0], back)]
    elif len(back):
        said.append("was not written in order, and was sorted")
        table = table[np.argsort(table[:, 0], kind="stable")]
    table = table[np.append(np.diff(table[:, 0]) > 0, True)]
    replaced = written - len(table)
    if resumed_at:
        said.append(f"was resumed at {_listed(resumed_at)}: {replaced} points from there on were replaced")
    elif replaced:
        said.append(f"has {replaced} points at the {_words(axes[0])} of another one: the last one written counts")
    curve = Curve(metric, pd.DataFrame(table, columns=[*axes, "value"]), tuple(axes), resumed_at, replaced, window)
    if curve.not_a_number:
        said.append(f"is NaN at {curve.not_a_number} of {len(table)} points")
    return curve, said


def _back(x: np.ndarray) -> np.ndarray:
    """The numbers of the points that stand before the point written just before them."""
    return np.flatnonzero(np.diff(x) < 0) + 1


def _kept(x: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Which points no later part of the run begins at or before."""
    begins = np.full(len(x) + 1, np.inf)
    begins[back] = x[back]
    later: np.ndarray = np.minimum.accumulate(begins[::-1])[::-1][1:]
    return x < later


def _words(axis: str) -> str:
    return axis.replace("_", " ")


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.10g}" for value in values[:4]) + (" ..." if len(values) > 4 else "")
