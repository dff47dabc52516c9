"""What the curves of a calibration mean. No torch here: it runs wherever the pages run."""

from .noise import Ratio, Regime, noise_scale, regime, second_moment_ratio
from .summary import ArmSummary, describe, end_values, summarise
from .tails import Index, Tail, describe_tails, tails

__all__ = [
    "ArmSummary", "Index", "Ratio", "Regime", "Tail", "describe", "describe_tails", "end_values", "noise_scale", "regime",
    "second_moment_ratio", "summarise", "tails",
]
