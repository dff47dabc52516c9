"""The tails and the skewness that a calibration measured meet the lab: which of its noise laws is nearest, and what that does."""

from __future__ import annotations

from collections.abc import Sequence

from ..evidence import LayerTails, most_skewed, passes_for_normal
from ..lab import noise
from ..lab.wording import SHARED

THIRD_MOMENT = 3.0  # tail index above which skewness exists; below it tails alone cost at least as much: nu / 2 - 1 <= 1 / 2
SKEWED = 1.0  # skewness from which on the lab's skewed law, with 2, is nearer than the symmetric ones
FOURTH_MOMENT = 4.0  # tail index above which the fourth moment is finite, and with it the SDE's order
LIMITS = {"student": (2.05, 100.0), "stable": (1.05, 1.99)}  # what the lab's parameters may be


def nearest_law(measured: Sequence[LayerTails]) -> str | None:
    """The lab's name of the law nearest to the layer that decides, for example "student:3.1"; None where no tails are known.

    By the stable index where the variance of the heaviest layer looks infinite, by Hill's index below 3 where the noise is not
    normal; else "skewed" where a layer is; else by Hill's index below 4, and "laplace" for noise that is not normal and has its
    fourth moment. Hill's is too low for light tails (3.5 for Student's t with 4), so this errs on the heavy side. Results from
    before skewness was measured never say "skewed".
    """
    chosen = _chosen(measured)
    return chosen[0] if chosen else None


def law_sentence(measured: Sequence[LayerTails]) -> str:
    """What the nearest law does to the SDE of RMSprop and Adam, and to their verdict; "" where no tails are known."""
    chosen = _chosen(measured)
    if chosen is None:
        return ""
    name, layer = chosen
    law = noise(name)
    known = {"stable": layer.stable, "student": layer.hill}.get(law.name)
    index = f", tail index {known.alpha:.2g}, {known.low:.2g} to {known.high:.2g}" if known else ""
    if law.name == "skewed" and layer.skewness:
        index = f", skewness {layer.skewness.size:.2g}, {layer.skewness.low:.2g} to {layer.skewness.high:.2g}"
    text = f"Of the laws in the lab {name} is nearest to the noise of {layer.layer}{index}. {law.law.SAYS}"
    if law.slope is not None and law.slope < 1:
        text += f" There, by one law at every batch size, kappa times the batch has kappa^{law.slope:.2g} times the error. "
        text += SHARED
    return text


def heaviest(measured: Sequence[LayerTails]) -> LayerTails | None:
    """The layer whose tails decide: one of infinite variance before all others, then the one with the lowest index of Hill's."""
    known = [tails for tails in measured if tails.variance != "unclear" and tails.hill is not None]
    infinite = [tails for tails in known if tails.variance == "infinite"]
    return min(infinite or known, key=_index, default=None)


def _chosen(measured: Sequence[LayerTails]) -> tuple[str, LayerTails] | None:
    """The name of the nearest law, and the layer that decided."""
    layer, skewed, normal = heaviest(measured), most_skewed(measured), passes_for_normal(measured)
    if layer is None or layer.hill is None:
        return None
    if layer.variance == "infinite" and layer.stable is not None:
        return _named("stable", layer.stable.alpha), layer
    if not normal and layer.hill.alpha < THIRD_MOMENT:
        return _named("student", layer.hill.alpha), layer
    if skewed and skewed.skewness and skewed.skewness.low and skewed.skewness.size > SKEWED:
        return "skewed", skewed
    if normal:
        return "gauss", layer
    return (_named("student", layer.hill.alpha) if layer.hill.alpha < FOURTH_MOMENT else "laplace"), layer


def _index(tails: LayerTails) -> float:
    index = tails.stable if tails.variance == "infinite" else tails.hill
    return float("inf") if index is None else index.alpha


def _named(law: str, parameter: float) -> str:
    low, high = LIMITS[law]
    return f"{law}:{min(max(parameter, low), high):.3g}"
