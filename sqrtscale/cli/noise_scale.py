"""``--noise-scale``: a number, a file with its course over samples seen, or a stored calibration that has measured it."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import NamedTuple

from ..rules import FieldError, noise_file
from ..rules.signal import ALLOWED, LARGEST, NoiseScaleCurve, noise_scale
from .runs import whole_id
from .shared import BadInput, file_bytes, number, open_store

OPTION = "--noise-scale"
SOURCES = f"{ALLOWED}, a file of points, or the id of a stored calibration"
WHOLE_ID, BEGINNING = re.compile(r"[0-9a-f]{12}"), re.compile(r"[0-9a-f]{1,12}")
SMALLEST = 1e-9  # samples: in place of 0, at the lower end of an interval that says nothing


class NoiseScale(NamedTuple):
    """A noise scale, or its course over samples seen; ends: the lower and the upper end of its interval, where that is known."""

    value: float | NoiseScaleCurve
    ends: tuple[NoiseScaleCurve, ...] = ()


def noise_scale_of(text: str) -> NoiseScale:
    """What the option says. An id that reads as a number has to be given whole."""
    if not WHOLE_ID.fullmatch(text):
        value = number(text)
        if not isinstance(value, str):
            return NoiseScale(noise_scale(value))
        if os.path.exists(text):
            return NoiseScale(noise_file.course(_bytes(Path(text)), text, OPTION))
    if not BEGINNING.fullmatch(text):
        raise FieldError("noise_scale", text, SOURCES)
    return _stored(text)


def _stored(id: str) -> NoiseScale:
    """What the base runs of a stored calibration have measured, in samples after the branch point."""
    from ..diagnostics.course import BEYOND, remembered
    from ..evidence import noise_by_samples, noise_scale_course
    from ..plan import WARM_START
    from ..store import DamagedChunk

    with open_store() as store:
        id = whole_id(store, id)
        try:
            plan, curves = store.get(id).plan, store.curves(id)
        except DamagedChunk as error:
            raise RuntimeError(str(error)) from error
    course = noise_scale_course(curves, before=plan.warm_samples)
    seen = [(samples, ratio) for samples, ratio in course if 0 < ratio.value < math.inf]
    if not seen:
        measured = "saw no signal, only noise: take the square-root rule" if course else "has not measured it: give another one"
        raise BadInput(f"{OPTION} = {id!r} {measured}")
    # As an arm that follows takes it: averaged as v averages, over the warm start as well. The intervals are in proportion.
    before = plan.warm_samples
    ages = noise_by_samples(curves, WARM_START) | {
        samples + before: measured for samples, measured in noise_by_samples(curves).items()}
    scales = remembered(ages, plan.memory, BEYOND * max(arm.config.batch_size for arm in plan.arms))
    points = [(samples, scales[samples + before], ratio) for samples, ratio in seen]
    lows, highs = ([(samples, min(max(scale * end / ratio.value, SMALLEST), LARGEST)) for samples, scale, ratio, end in ends]
                   for ends in ([(*point, point[2].low) for point in points], [(*point, point[2].high) for point in points]))
    return NoiseScale(NoiseScaleCurve.of((samples, scale) for samples, scale, _ in points),
                      (NoiseScaleCurve.of(lows), NoiseScaleCurve.of(highs)))


def _bytes(path: Path) -> bytes:
    """The file that the option names; raises BadInput."""
    return file_bytes(OPTION, path, noise_file.LARGEST_FILE, "the points of a noise scale")
