"""Charts as one SVG element each: no script, no font, no request, so a report is one file that opens anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 34, 46
TICKS = 5
FURTHEST = 6.0  # margins from zero
INK, GRID, BAND = "#374151", "#E5E7EB", "#6B7280"
LABELS, ROW = 110, 22  # of a forest plot: width of the names at its left, height of a line


@dataclass(frozen=True)
class Line:
    """A curve with the band around it: x, y and, if wanted, low and high, all of one length."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = ""
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Interval:
    """A difference by name with its interval, whose ends may be infinite."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Block:
    """The intervals of one arm under its name, and a word on it at the right."""

    name: str
    word: str
    colour: str
    intervals: Sequence[Interval]


def chart(lines: Sequence[Line], x_title: str, y_title: str, margin: float | None = None) -> str:
    """The chart of the lines; values that are not finite leave a gap.

    margin: for differences, the half width of a band around zero; what lies further than FURTHEST margins is cut off.
    """
    x_ends = _ends([value for line in lines for value in line.x], 0)
    heights = [value for line in lines for value in (*line.y, *line.low, *line.high)]
    y_ends = _ends(heights, 0.06) if margin is None else _around(margin, heights)
    parts = [_opening(HEIGHT)]

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ends[0]) / (x_ends[1] - x_ends[0])
        up = (y - y_ends[0]) / (y_ends[1] - y_ends[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    for tick in _ticks(*y_ends):
        _, y = at(x_ends[0], tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
                     f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    for tick in _ticks(*x_ends):
        x, _ = at(tick, y_ends[0])
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="{GRID}"/>'
                     f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(tick)}</text>')
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    frame = f'x="{LEFT}" y="{TOP}" width="{width}" height="{height}" viewBox="{LEFT} {TOP} {width} {height}"'
    parts.append(f"<svg {frame}>")
    if margin is not None:
        (_, top), (_, zero), (_, bottom) = (at(x_ends[0], value) for value in (margin, 0, -margin))
        parts.append(f'<rect x="{LEFT}" y="{top:.1f}" width="{width}" height="{bottom - top:.1f}" fill="{BAND}" '
                     f'opacity="0.2"/><line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="{BAND}"/>')
    for line in lines:
        if len(line.low):
            edge = [*zip(line.x, line.low, strict=True), *reversed(list(zip(line.x, line.high, strict=True)))]
            points = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in edge if math.isfinite(y))
            parts.append(f'<polygon points="{points}" fill="{line.colour}" opacity="0.15"/>')
    for line in lines:
        for piece in _pieces(line.x, line.y):
            points = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in piece)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="2"'
                         + (f' stroke-dasharray="{line.dash}"' if line.dash else "") + "/>")
    parts += ["</svg>", *_legend(lines)]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>'
                 f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2})">{escape(y_title)}'
                 "</text></svg>")
    return "".join(parts)


def forest(blocks: Sequence[Block], x_title: str, margin: float) -> str:
    """Every interval against the margin, a band around zero; an arrow points to what lies outside the picture."""
    low, high = _around(margin, [value for block in blocks for each in block.intervals
                                 for value in (each.value, each.low, each.high)])
    rows = sum(1 + len(block.intervals) for block in blocks)
    bottom = ROW * rows + 12
    parts = [_opening(bottom + 40)]

    def across(value: float) -> float:
        return LABELS + (min(max(value, low), high) - low) / (high - low) * (WIDTH - LABELS - RIGHT)

    parts.append(f'<rect x="{across(-margin):.1f}" y="4" width="{across(margin) - across(-margin):.1f}" height="{bottom - 4}" '
                 f'fill="{BAND}" opacity="0.2"/>')
    for tick in _ticks(low, high):
        colour = GRID if abs(tick) > 1e-9 * margin else BAND
        parts.append(f'<line x1="{across(tick):.1f}" x2="{across(tick):.1f}" y1="4" y2="{bottom}" stroke="{colour}"/>'
                     f'<text x="{across(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.4g}</text>')
    y = 0
    for block in blocks:
        y += ROW
        parts.append(f'<text x="8" y="{y}" font-weight="bold">{escape(block.name)}</text>'
                     f'<text x="{WIDTH - RIGHT}" y="{y}" text-anchor="end" font-weight="bold">{escape(block.word)}</text>')
        for each in block.intervals:
            y += ROW
            parts.append(f'<text x="{LABELS - 10}" y="{y}" text-anchor="end">{escape(each.name)}</text>')
            if math.isfinite(each.low):
                parts.append(f'<line x1="{across(each.low):.1f}" x2="{across(each.high):.1f}" y1="{y - 4}" y2="{y - 4}" '
                             f'stroke="{block.colour}" stroke-width="2.5"/>')
            x, side = across(each.value), (each.value > high) - (each.value < low)
            parts.append(f'<circle cx="{x:.1f}" cy="{y - 4}" r="4.5" fill="{block.colour}"/>' if not side else
                         f'<polygon points="{x:.1f},{y - 4} {x - 9 * side:.1f},{y - 9} {x - 9 * side:.1f},{y + 1}" '
                         f'fill="{block.colour}"/>')
    middle = (LABELS + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 34}" text-anchor="middle">{escape(x_title)}</text></svg>')
    return "".join(parts)


def _opening(height: int) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif" '
            f'font-size="12" fill="{INK}">')


def _around(margin: float, values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis of differences: the values and the whole margin, but no more than FURTHEST margins from zero."""
    most = FURTHEST * margin
    inside = [min(max(value, -most), most) for value in values if math.isfinite(value)]
    return _ends([*inside, -1.5 * margin, 1.5 * margin], 0)


def _legend(lines: Sequence[Line]) -> list[str]:
    parts, x = [], float(LEFT)
    for line in lines:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(f'<line x1="{x:.0f}" x2="{x + 22:.0f}" y1="16" y2="16" stroke="{line.colour}" stroke-width="2"{dash}/>'
                     f'<text x="{x + 28:.0f}" y="20">{escape(line.name)}</text>')
        x += 48 + 7 * len(line.name)
    return parts


def _pieces(x: Sequence[float], y: Sequence[float]) -> list[list[tuple[float, float]]]:
    """The runs of finite points."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at_x, at_y in zip(x, y, strict=True):
        if math.isfinite(at_y):
            pieces[-1].append((at_x, at_y))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _ends(values: Sequence[float], padding: float) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return low - padding * (high - low), high + padding * (high - low)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= raw)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


def _short(value: float) -> str:
    """12000 as 12k."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
