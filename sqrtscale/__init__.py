"""sqrtscale: carry Adam, AdamW and RMSprop settings to another batch size, and measure that it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .rules import FieldError, ScaledConfig, ScaledField, TrainingConfig, scale

if TYPE_CHECKING:
    from .arms import Arm
    from .meter import NoiseMeter
    from .plan import CalibrationPlan
    from .transfer.optimizer import transfer_optimizer_

__version__ = "0.2.0"

__all__ = ["Arm", "CalibrationPlan", "FieldError", "NoiseMeter", "ScaledConfig", "ScaledField", "TrainingConfig", "scale",
           "transfer_optimizer_"]


def __getattr__(name: str) -> Any:
    """Scaling must start at once: plans, and what needs torch, are loaded when somebody asks for them."""
    if name in ("Arm", "CalibrationPlan"):
        from . import plan

        return getattr(plan, name)
    if name == "transfer_optimizer_":
        from .transfer.optimizer import transfer_optimizer_

        return transfer_optimizer_
    if name == "NoiseMeter":
        from .meter import NoiseMeter

        return NoiseMeter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
