"""Other rules in use for another batch size, beside ours, to compare and to calibrate against.

They are rivals, not corrections: most say what trains well at the target batch, ours says what reproduces the base run. Whatever
a rule does not name stays as it was (eps, weight decay, averages of the weights, clipping), and every length keeps its samples
seen unless the rule says otherwise. All of them speak of an averaged gradient: where the loss is summed, what is compared with
the gradient grows with it, so that the rule does there what it does elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from .config import ParameterGroup, TrainingConfig
from .errors import FieldError, real
from .exact import as_float
from .reduction import is_summed, with_gradient
from .run_fields import RUN_FIELDS, CountedInSteps
from .scaled import ScaledField
from .transfer import scale

Factor = Callable[[float, float, float], float]  # of base batch, target batch, noise scale (nan where none is given)


@dataclass(frozen=True)
class Rule:
    """name: what users type; label: what they read; idea: in one sentence; source; lr: the factor on lr.

    half_life: the second moment keeps its half-life in samples; warmup_epochs_grow: the warm-up takes kappa times more
    samples, so as many steps as before; of_noise: the factor depends on the noise scale; untouched: every value stays, also
    one that is compared with the gradient of a summed loss.
    """

    name: str
    label: str
    idea: str
    source: str
    lr: Factor
    half_life: bool = False
    warmup_epochs_grow: bool = False
    of_noise: bool = False
    untouched: bool = False


@dataclass(frozen=True)
class Alternative:
    """A configuration at the target batch by another rule, with that rule's name, label, idea and source."""

    name: str
    label: str
    idea: str
    source: str
    config: TrainingConfig


def surge(base: float, target: float, noise: float) -> float:
    """lr_opt(target) / lr_opt(base) with lr_opt(B) = lr_max / ((sqrt(b / B) + sqrt(B / b)) / 2) [Li et al. 2024], b the noise."""
    return math.sqrt(target / base) * (base + noise) / (target + noise)


RULES = (
    Rule("unscaled", "Unscaled", "Keep every hyperparameter and only take fewer steps.",
         "what happens when nothing is done", lambda base, target, noise: 1.0, untouched=True),
    Rule("linear lr", "Linear lr", "Multiply lr by kappa, as for SGD.",
         "Goyal et al. 2017 (arXiv 1706.02677)", lambda base, target, noise: target / base),
    Rule("sqrt lr", "Square root on lr only", "Multiply lr by sqrt(kappa) and leave betas and eps as they were.",
         "Krizhevsky 2014 (arXiv 1404.5997)", lambda base, target, noise: math.sqrt(target / base)),
    Rule("half-life", "Half-life of beta2", "Keep lr, and keep the half-life of the second moment in samples or tokens.",
         "Marek et al. 2025 (arXiv 2507.07101)", lambda base, target, noise: 1.0, half_life=True),
    Rule("legw", "LEGW", "Multiply lr by sqrt(kappa), and warm up over kappa times more epochs, so over as many steps as before.",
         "You et al. 2019 (arXiv 1901.08256)", lambda base, target, noise: math.sqrt(target / base), warmup_epochs_grow=True),
    Rule("surge", "Surge", "The best lr rises with the batch up to the noise scale and falls beyond it; lr is taken for the best "
         "at the base batch.", "Li et al. 2024 (arXiv 2405.14578)", surge, of_noise=True),
)


def alternatives(config: TrainingConfig, target: int, noise_scale: float | None = None) -> tuple[Alternative, ...]:
    """What the other rules give for the target batch, in the order of ``RULES``.

    noise_scale: in the unit of the batch sizes; without it there is no ``surge``. Also left out: ``half-life`` where the
    optimizer has no second moment, ``legw`` where its warm-up would be longer than the run. Raises FieldError for a target that
    is no batch size, a length that has no step left, and an lr out of range.
    """
    if noise_scale is not None:
        allowed = "is not a noise scale: give a finite number above 0, in the unit of the batch sizes"
        if real("noise_scale", noise_scale, allowed) <= 0:
            raise FieldError("noise_scale", noise_scale, allowed)
    equal_samples = _at_equal_samples(config, target)
    moved_by_rules = []
    for rule in RULES:
        impossible = (rule.of_noise and noise_scale is None) or (rule.half_life and not _second_moment(config.hyperparameters))
        moved = None if impossible else _moved(config, equal_samples, rule, noise_scale or math.nan)
        if moved is not None:
            moved_by_rules.append(Alternative(rule.name, rule.label, rule.idea, rule.source, moved))
    return tuple(moved_by_rules)


def _at_equal_samples(config: TrainingConfig, target: int) -> TrainingConfig:
    """The configuration by our rule, with decays by half-life: they have a number at every kappa."""
    def by_half_life(rows: tuple[ScaledField, ...]) -> tuple[ScaledField, ...]:
        return tuple(row if row.half_life is None else replace(row, scaled=row.half_life) for row in rows)

    scaled = scale(config, target)
    groups = tuple(replace(group, fields=by_half_life(group.fields)) for group in scaled.groups)
    return replace(scaled, fields=by_half_life(scaled.fields), groups=groups).config


def _moved(config: TrainingConfig, equal_samples: TrainingConfig, rule: Rule, noise_scale: float) -> TrainingConfig | None:
    """The configuration by that rule, or None where its warm-up does not fit into the run."""
    kappa = equal_samples.batch_size / config.batch_size
    factor = rule.lr(config.batch_size, equal_samples.batch_size, noise_scale)

    def values(own: Mapping[str, float], in_samples: Mapping[str, float]) -> dict[str, float]:
        kept = {name: in_samples[name] for name in _second_moment(own) if rule.half_life}
        return dict(own) | kept | {name: _times("lr", own[name], factor) for name in ("lr",) if name in own}

    run = _on_the_same_samples(config, equal_samples)
    if "min_lr" in run:
        run["min_lr"] = _times("min_lr", run["min_lr"], factor)
    if rule.warmup_epochs_grow:
        run |= {name: value for name, value in config.of_the_run().items() if name == "warmup_steps"}
        if "warmup_fraction" in run:
            run["warmup_fraction"] *= kappa
        if run.get("warmup_fraction", 0) > 1 or run.get("warmup_steps", 0) > run.get("total_steps", math.inf):
            return None
    groups = tuple(ParameterGroup(group.name, values(group.values, scaled.values))
                   for group, scaled in zip(config.groups, equal_samples.groups, strict=True))
    moved = replace(equal_samples, hyperparameters=values(config.hyperparameters, equal_samples.hyperparameters),
                    total_steps=run.pop("total_steps", None), warmup_steps=run.pop("warmup_steps", None), run=run, groups=groups)
    if rule.untouched or not is_summed(config):
        return moved
    return with_gradient(moved, Fraction(moved.batch_size, config.batch_size))


def _times(name: str, value: float, factor: float) -> float:
    moved = as_float(value * factor)
    if moved is None:
        raise FieldError(name, value, f"leaves the range of floating-point numbers, {factor:g} times as large: give a value of "
                         "ordinary size")
    return moved


def _on_the_same_samples(config: TrainingConfig, scaled: TrainingConfig) -> dict[str, Any]:
    """The fields of the run with what counts steps taken from ``scaled``, and the others kept."""
    moved = scaled.of_the_run()
    return {name: moved[name] if isinstance(RUN_FIELDS[name].kind, CountedInSteps) or name == "gamma_per_step" else value
            for name, value in config.of_the_run().items()}


def _second_moment(values: Mapping[str, float]) -> list[str]:
    """The decay of v among those values, under whatever name."""
    return [name for name in ("beta2", "alpha") if name in values]
