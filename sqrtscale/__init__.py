"""sqrtscale: carry Adam, AdamW and RMSprop settings to another batch size, and measure that it worked."""

from .plan import Arm, CalibrationPlan
from .rules import FieldError, ScaledConfig, ScaledField, TrainingConfig, scale

__version__ = "0.1.0"

__all__ = ["Arm", "CalibrationPlan", "FieldError", "ScaledConfig", "ScaledField", "TrainingConfig", "scale"]
