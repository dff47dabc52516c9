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


def faint(colour: str, alpha: float = 0.18) -> str:
    """The colour as ``rgba(...)`` for bands and single seeds behind a mean."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha:g})"
