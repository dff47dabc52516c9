"""The noise-aware learning rate over samples seen, as a table of factors that stands literally in a snippet.

While the noise scale changes, lr'(tau) = sqrt(kappa q(tau)) lr(tau) of :mod:`sqrtscale.rules.signal`: the scaled lr, with its
schedule, times a factor that depends on samples seen. Between two rows the logarithm of that factor is a straight line, before
the first and after the last it is level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

from ...rules import FieldError, ScaledConfig, family
from ...rules.kinds import DECAY_TIMES_LR
from ...rules.signal import NoiseScaleCurve, excess

Row = tuple[float, float]  # samples seen, factor

CLOSEST = 1e-3  # by which share a table may be off
MOST_ROWS = 32  # that anybody reads; a course that needs more is followed less closely, and the snippet says how closely
# Growth of the noise scale, as a logarithm h, between two places at which a table is compared with its course. The logarithm of
# sqrt(q) bends by at most 1/8 over that of the noise scale, so in between it is off by h^2 / 64 = 0.00025 more at most.
NEAR = 0.125


@dataclass(frozen=True)
class LrCourse:
    """rows: samples seen, rising, and the factor on the scaled lr there; off: by which share the factors may differ from it.

    batch: the target batch, for samples = steps * batch; told: what is to be said of it, for a user.
    """

    rows: tuple[Row, ...]
    off: float
    batch: int
    told: str

    @property
    def in_words(self) -> str:
        """The table for a format that has no place for a function."""
        rows = ", ".join(f"{factor} at {samples}" for samples, factor in map(_digits, self.rows))
        return (f"this format has no place for that factor, so your code has to put it on lr: {rows} samples seen, its logarithm "
                "a straight line in between")


def lr_course(scaled: ScaledConfig, course: NoiseScaleCurve) -> LrCourse | None:
    """The factors on a scaled lr that make it follow the noise scale, whatever noise scale that lr was made with.

    None where an optimizer's lr does not follow it. Raises FieldError where parameter groups have noise scales of their own,
    which one course cannot stand for.
    """
    base, target = scaled.base.batch_size, scaled.target_batch
    made_with = set(scaled.noise_scale.values())
    if len(made_with) > 1:
        raise FieldError("noise_scale", dict(scaled.noise_scale), "is one for each parameter group, where a course is of the "
                                                                  "whole gradient: scale with one number, or without a course")
    if not family(scaled.base.optimizer).follows_noise_scale:
        return None
    usual = math.sqrt(excess(base, target, *made_with)) if made_with else 1.0
    rows, off = _fewest([(at, course.lr_factor(base, target, at) / usual) for at in _places(course.points)])
    lowest, highest = (choose(noise for _, noise in course.points) for choose in (min, max))
    others = f"a noise scale of {made_with.pop():g}" if made_with else "the square-root rule"
    told = (f"lr follows a noise scale between {lowest:.3g} and {highest:.3g} by a factor over samples seen, to within "
            f"{math.ceil(1e3 * off) / 1e3:.1%}; every other value stays that of {others}{_of_the_decay(scaled)}")
    return LrCourse(rows, off, target, told)


def _of_the_decay(scaled: ScaledConfig) -> str:
    """That a decay which is multiplied by lr is multiplied by the factor too, where there is any."""
    field = family(scaled.base.optimizer).fields.get("weight_decay")
    times_lr = field is not None and field.kind == DECAY_TIMES_LR
    decays = times_lr and any(row.name == "weight_decay" and row.scaled for row in scaled.rows)
    return ", but the weight decay is multiplied by lr, and so by the factor" if decays else ""


def _places(points: Sequence[Row]) -> list[float]:
    """Samples where factors are looked at: each point, and as many places between two as the noise scale has to grow."""
    places = [points[0][0]]
    for (left, low), (right, high) in pairwise(points):
        count = max(1, math.ceil(abs(math.log(high / low)) / NEAR))
        between = (left + (right - left) * i / count for i in range(1, count))
        places += [*(map(round, between) if right - left > 2 * count else between), right]
    return places


def _fewest(rows: Sequence[Row]) -> tuple[tuple[Row, ...], float]:
    """Rows enough that straight lines between their logarithms come near all of them [Douglas & Peucker 1973], and how near."""
    kept, stretches = {0, len(rows) - 1}, [_stretch(rows, 0, len(rows) - 1)]
    while -stretches[0][0] > CLOSEST and len(kept) < MOST_ROWS:
        _, worst, first, last = heappop(stretches)
        kept.add(worst)
        heappush(stretches, _stretch(rows, first, worst))
        heappush(stretches, _stretch(rows, worst, last))
    return tuple(rows[i] for i in sorted(kept)), max(CLOSEST, -stretches[0][0])


def _stretch(rows: Sequence[Row], first: int, last: int) -> tuple[float, int, int, int]:
    """A stretch between two rows for the heap: minus the largest miss inside, where that is, and both ends."""
    misses = ((-_miss(rows[first], rows[i], rows[last]), i) for i in range(first + 1, last))
    return (*min(misses, default=(0.0, first)), first, last)


def _miss(left: Row, row: Row, right: Row) -> float:
    """By how much the logarithm at a row lies off the straight line between two others."""
    share = (row[0] - left[0]) / (right[0] - left[0])
    return abs(math.log(row[1] / left[1]) - share * math.log(right[1] / left[1]))


def _digits(row: Row) -> tuple[str, str]:
    return f"{row[0]:.12g}", f"{row[1]:.6g}"


def table_lines(course: LrCourse, name: str = "LR_FACTORS") -> list[str]:
    """Lines of Python that hold the table."""
    rows = (f"    ({samples}, {factor})," for samples, factor in map(_digits, course.rows))
    return [f"{name} = (  # (samples seen, factor on lr)", *rows, ")"]


def function_lines(course: LrCourse) -> list[str]:
    """The table, and ``lr_factor(samples)`` for numbers; it needs ``from bisect import bisect``."""
    return [*table_lines(course), "", "",
            "def lr_factor(samples):",
            '    """Between two rows its logarithm is a straight line, before the first and after the last it is level."""',
            '    place = bisect(LR_FACTORS, (samples, float("inf")))',
            "    if place in (0, len(LR_FACTORS)):",
            "        return LR_FACTORS[0 if place == 0 else -1][1]",
            "    (left, low), (right, high) = LR_FACTORS[place - 1 : place + 1]",
            "    return low * (high / low) ** ((samples - left) / (right - left))", "", ""]
