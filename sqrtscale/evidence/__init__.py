"""What the curves of a calibration mean. No torch here: it runs wherever the pages run."""

from .summary import ArmSummary, describe, end_values, summarise

__all__ = ["ArmSummary", "describe", "end_values", "summarise"]
