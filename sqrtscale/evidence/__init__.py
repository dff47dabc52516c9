"""What the curves of a calibration mean. No torch here: it runs wherever the pages run."""

from .equivalence import Functional
from .noise import Ratio, Regime, noise_scale, regime, regimes, second_moment_ratio
from .sequential import Looks
from .summary import ArmSummary, end_values, summarise
from .tails import Index, Tail, describe_tails, tails
from .verdict import OUTCOMES, Margin, Verdict, headline, judge

__all__ = [
    "OUTCOMES", "ArmSummary", "Functional", "Index", "Looks", "Margin", "Ratio", "Regime", "Tail", "Verdict",
    "describe_tails", "end_values", "headline", "judge", "noise_scale", "regime", "regimes", "second_moment_ratio", "summarise",
    "tails",
]
