"""The rules, pure Python: configurations, optimizer families, and the transfer to another batch size."""

from .config import TrainingConfig
from .errors import FieldError
from .families import FAMILIES, Family, Field, family
from .transfer import DECAY_FORMS, DecayForm, ScaledConfig, ScaledField, scale

__all__ = [
    "DECAY_FORMS",
    "FAMILIES",
    "DecayForm",
    "Family",
    "Field",
    "FieldError",
    "ScaledConfig",
    "ScaledField",
    "TrainingConfig",
    "family",
    "scale",
]
