"""The colours that carry meaning on every page, chart and table. The theme in .streamlit/config.toml repeats them."""

from __future__ import annotations

from ..arms import group_of
from ..plan import WARM_START

BASE = "#2563EB"  # blue: the base configuration
SCALED = "#EA580C"  # orange: the same, scaled by the rule
UNSCALED = "#6B7280"  # grey, dashed: base hyperparameters at the target batch
LINEAR_LR = "#8B94A3"  # lighter grey (3:1 on white), dotted: kappa times the learning rate

NOISE_AWARE = "#8B5CF6"  # violet, dash-dotted: the transfer by the noise scale

OF_AN_ARM = {  # colour and dash
    "base": (BASE, "solid"), "scaled": (SCALED, "solid"), "unscaled": (UNSCALED, "dash"), "linear lr": (LINEAR_LR, "dot"),
    WARM_START: (BASE, "dashdot"),
}
OF_AN_OUTCOME = {"matches": "green", "differs": "red", "cannot tell": "orange", "not a test": "gray"}  # of badges, by name
OF_A_GROUP = {"svag": BASE, "rule": SCALED, "form": SCALED, "noise-aware": NOISE_AWARE}  # grey stands for all other arms
OTHER_DASHES = ("longdash", "longdashdot", "dashdot", "dot", "dash")


def style(arm: str, place: int = 0) -> tuple[str, str]:
    """Colour and dash of an arm's line; ``place``: among the arms of a figure, to tell apart those without a dash of their own.

    Blue goes with base and its SVAG runs, orange with the rule at whatever batch and in whatever form, violet with the
    noise-aware transfer, grey with all else.
    """
    if arm in OF_AN_ARM:
        return OF_AN_ARM[arm]
    return OF_A_GROUP.get(group_of(arm), (UNSCALED, LINEAR_LR)[place % 2]), OTHER_DASHES[place % len(OTHER_DASHES)]


def faint(colour: str, alpha: float = 0.18) -> str:
    """The colour as ``rgba(...)`` for bands and single seeds behind a mean."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha:g})"
