"""sqrtscale: carry Adam, AdamW and RMSprop settings to another batch size, and measure that it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .plan import Arm, CalibrationPlan
from .rules import FieldError, ScaledConfig, ScaledField, TrainingConfig, scale

if TYPE_CHECKING:
    from .training.live import transfer_optimizer_

__version__ = "0.1.0"

__all__ = ["Arm", "CalibrationPlan", "FieldError", "ScaledConfig", "ScaledField", "TrainingConfig", "scale",
           "transfer_optimizer_"]


def __getattr__(name: str) -> Any:
    """``transfer_optimizer_`` loads torch, so it is loaded when somebody asks for it."""
    if name == "transfer_optimizer_":
        from .training.live import transfer_optimizer_

        return transfer_optimizer_
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
