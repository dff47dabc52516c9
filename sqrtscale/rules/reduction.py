"""A loss that is summed over the global batch instead of averaged: its gradient is B times that of the mean.

A gradient that is c times larger leaves the run as it is where every field moves by c^p, p being the power of the gradient with
which it is compared (``Kind.gradient_power``): c^2 eps inside the root, c eps, c clip_norm, c L2, and lr / c of SGD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from .config import ParameterGroup, TrainingConfig
from .errors import FieldError
from .exact import as_float
from .families import Field, family
from .run_fields import RUN_FIELDS


def is_summed(config: TrainingConfig) -> bool:
    """Whether the configuration says that its loss is summed."""
    return config.run.get("loss_reduction") == "sum"


def averaged(config: TrainingConfig) -> TrainingConfig:
    """The same run with the mean of the losses; a configuration that has it already comes back. Raises FieldError."""
    if not is_summed(config):
        return config
    mean = with_gradient(config, Fraction(1, config.batch_size))
    return replace(mean, run={**mean.run, "loss_reduction": "mean"})


def with_gradient(config: TrainingConfig, factor: Fraction) -> TrainingConfig:
    """The fields that make the same run of a gradient that is ``factor`` times as large. Raises FieldError for an overflow."""
    fields = family(config.optimizer).fields

    def moved(values: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
        return {name: _moved(name, value, fields[name].kind.gradient_power, factor) for name, value in values.items()}

    groups = tuple(ParameterGroup(group.name, moved(group.values, fields)) for group in config.groups)
    run = moved(config.run, {**RUN_FIELDS, "min_lr": fields["lr"]})
    return replace(config, hyperparameters=moved(config.hyperparameters, fields), run=run, groups=groups)


def _moved(name: str, value: Any, power: int, factor: Fraction) -> Any:
    if not power:
        return value
    moved = as_float(Fraction(repr(value)) * factor**power)
    if moved is None:
        raise FieldError(name, value, f"leaves the range of floating-point numbers for a gradient {float(factor):g} times as "
                                      "large: give a value of ordinary size")
    return moved
