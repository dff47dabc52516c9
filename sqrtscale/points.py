"""The samples at which runs are measured: evenly spread on whole steps of every arm."""

from __future__ import annotations

from collections.abc import Sequence

COMPLETE = 24  # evaluations at most of what no verdict hangs on: other metrics than the judged one, the warm start


def complete_points(points: Sequence[int]) -> tuple[int, ...]:
    """Those of the evaluation points at which every metric is measured, not the judged one alone: first, last, evenly between."""
    last = len(points) - 1
    count = min(last, COMPLETE)
    return tuple(points[round(last * i / max(count, 1))] for i in range(count + 1))


def spread(samples: int, unit: int, count: int) -> tuple[int, ...]:
    """0 and ``count`` further points up to ``samples``, evenly on multiples of ``unit``; fewer where there are fewer units."""
    units = samples // unit
    count = min(count, units)
    return tuple(unit * round(units * i / count) for i in range(count + 1))


def rounded_up(value: int, unit: int) -> int:
    """The smallest multiple of ``unit`` that is at least ``value``."""
    return -(-value // unit) * unit
