"""The rules, pure Python: configurations, optimizer families, and the transfer to another batch size."""

from .config import ParameterGroup, TrainingConfig
from .errors import FieldError
from .families import FAMILIES, LIBRARIES, UNDERIVED, Family, Field, family
from .kind import DECAY_FORMS, DecayForm
from .run_fields import RUN_FIELDS
from .scaled import MOMENTUM_FORMS, MomentumForm, ScaledConfig, ScaledField, ScaledGroup
from .transfer import scale

__all__ = [
    "DECAY_FORMS",
    "FAMILIES",
    "LIBRARIES",
    "MOMENTUM_FORMS",
    "RUN_FIELDS",
    "UNDERIVED",
    "DecayForm",
    "Family",
    "Field",
    "FieldError",
    "MomentumForm",
    "ParameterGroup",
    "ScaledConfig",
    "ScaledField",
    "ScaledGroup",
    "TrainingConfig",
    "family",
    "scale",
]
