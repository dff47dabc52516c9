"""A comparison in words: the cells of its lines, and the whole as one page that can be sent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from string import ascii_uppercase

from ..evidence import OUTCOMES
from ..tasks import without_version
from .comparison import JUDGED, RULE, Member, Row, differences
from .content import Report, Section, Table
from .settings import settings
from .svg import Line, chart

COLOURS = ("#7C3AED", "#0F766E", "#BE185D", "#4D7C0F", "#B45309", "#0E7490")
DASHES = ("", "6 4", "2 3", "8 3 2 3", "12 4", "1 5")


def cells(row: Row) -> dict[str, str]:
    """A line of the comparison as text, by the heads of its columns."""
    difference = "" if row.difference is None else f"{row.difference:+.3g}"
    if row.low is not None:
        difference += f" ({row.low:+.3g} to {row.high:+.3g})"
    return {
        "Calibration": row.name, "Verdict": row.outcome, "State": row.state, "Difference at the end": difference,
        "Margin": "" if row.margin is None else f"{row.margin:.2g} {row.unit}", "kappa": f"{row.kappa:.6g}",
        "Batch": f"{row.base_batch} → {row.target_batch}", "lr": "" if row.lr is None else f"{row.lr:.4g} → {row.scaled_lr:.4g}",
        "Optimizer": row.optimizer, "Task": ", ".join(filter(None, [without_version(row.task), row.size])),
        "Noise scale": _size(row.noise_scale),
        "Seeds": "" if row.seeds is None else str(row.seeds)}


def _size(noise_scale: float | None) -> str:
    if noise_scale is None:
        return ""
    return "no signal seen" if math.isinf(noise_scale) else f"{noise_scale:.3g}"


def comparison_report(members: Sequence[Member]) -> Report:
    """The comparison as a page: what came out of each, the picture, what differs between them. For no more than 26."""
    lines = [cells(Row.of(member)) for member in members]
    outcomes = Counter(line["Verdict"] for line in lines)
    counted = [f"{outcomes[outcome]} × {outcome}" for outcome in OUTCOMES if outcomes[outcome]]
    table = Table(("", *lines[0]), tuple((letter, *line.values()) for letter, line in zip(ascii_uppercase, lines, strict=False)))
    fields = [setting for setting in settings(members) if setting.differs]
    different = Table(("Field", *ascii_uppercase[:len(members)]), tuple((setting.name, *setting.values) for setting in fields))
    words = ("Scaled minus base on the same seed, mean over seeds, in units of each calibration's own margin (grey band). What "
             "lies beyond six margins is outside the picture.")
    picture = _picture(members)
    return Report(
        title=f"{len(members)} calibrations side by side",
        answer=f"Scaled against base: {', '.join(counted)}." if counted else "No calibration has a verdict yet.",
        sections=(
            Section("The calibrations", ("Verdict and difference are of the scaled arm against base. Noise scale in samples.",),
                    tables=(table,)),
            *([Section("The difference to base", (words,), (picture,))] if picture else []),
            Section("What differs", () if fields else ("All fields of the configurations are the same.",),
                    tables=(different,) if fields else ()),
            Section("How to see it again", code=f"sqrtscale runs compare {' '.join(member.record.id for member in members)}")))


def _picture(members: Sequence[Member]) -> str:
    """The differences over samples as SVG; "" where there are none."""
    table = differences(members, JUDGED, (RULE,), in_margins=True)
    lines = []
    for place in dict.fromkeys(table["place"]):
        points = table[table["place"] == place]
        x, y, low, high = (points[name].tolist() for name in ("x", "value", "low", "high"))
        lines.append(Line(ascii_uppercase[place], x, y, COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)], low, high))
    return chart(lines, "samples seen", "Difference (margins)", 1.0) if lines else ""
