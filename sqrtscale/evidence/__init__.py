"""What the curves of a calibration mean. No torch here: it runs wherever the pages run."""

from .curvature import base_sharpness, with_curvature
from .equivalence import Functional, confidence
from .judging import Comparison, judge
from .noise import Ratio, Regime, noise_by_samples, noise_scale, noise_scale_course, regime, regimes, second_moment_ratio
from .pairing import differences_over_samples
from .sequential import Looks
from .skipped import with_skipped
from .summary import ArmSummary, end_values, summarise
from .tails import Index, LayerTails, Skewness, describe_skewness, describe_tails, layer_tails, most_skewed, passes_for_normal
from .verdict import OUTCOMES, Margin, Outcome, Verdict
from .wording import headline, of_another_transfer

__all__ = [
    "OUTCOMES", "ArmSummary", "Comparison", "Functional", "Index", "LayerTails", "Looks", "Margin", "Outcome", "Ratio",
    "Regime", "Skewness", "Verdict", "base_sharpness", "confidence", "describe_skewness", "describe_tails",
    "differences_over_samples", "end_values", "headline", "judge", "layer_tails", "most_skewed", "noise_by_samples",
    "noise_scale", "noise_scale_course", "of_another_transfer", "passes_for_normal", "regime", "regimes",
    "second_moment_ratio", "summarise", "with_curvature", "with_skipped",
]
