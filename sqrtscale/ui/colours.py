"""The colours that carry meaning on every page, chart and table. The theme in .streamlit/config.toml repeats them."""

BASE = "#2563EB"  # blue: the base configuration
SCALED = "#EA580C"  # orange: the same, scaled by the rule
UNSCALED = "#6B7280"  # grey, dashed: base hyperparameters at the target batch
LINEAR_LR = "#8B94A3"  # lighter grey (3:1 on white), dotted: kappa times the learning rate

ARM_COLOURS: dict[str, str] = {
    "base": BASE, "scaled": SCALED, "unscaled": UNSCALED, "linear lr": LINEAR_LR, "warm start": BASE,
}
ARM_DASHES: dict[str, str] = {
    "base": "solid", "scaled": "solid", "unscaled": "dash", "linear lr": "dot", "warm start": "dashdot",
}


OTHER_DASHES = ("longdash", "longdashdot", "dashdot", "dot", "dash")


def style(arm: str, place: int = 0) -> tuple[str, str]:
    """Colour and dash of an arm's line; ``place``: among the arms of a figure, to tell apart those without a dash of their own.

    Blue goes with base and its SVAG runs, orange with the rule at whatever batch and in whatever form, grey with all else.
    """
    if arm in ARM_COLOURS:
        return ARM_COLOURS[arm], ARM_DASHES[arm]
    dash = OTHER_DASHES[place % len(OTHER_DASHES)]
    if arm.startswith("svag"):
        return BASE, dash
    if arm.startswith("scaled ") or arm in ("half-life", "linear form"):
        return SCALED, dash
    return (UNSCALED, LINEAR_LR)[place % 2], dash


def faint(colour: str, alpha: float = 0.18) -> str:
    """The colour as ``rgba(...)`` for bands and single seeds behind a mean."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha:g})"
