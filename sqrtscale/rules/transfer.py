"""The transfer: a configuration at one batch size -> the configuration at another.

Square-root scaling rule [Malladi et al. 2022, arXiv 2205.10287, the rules for RMSprop and Adam]:
with kappa = B'/B,  eta' = sqrt(kappa) eta,  1 - beta' = kappa (1 - beta),  eps' = eps / sqrt(kappa),
and k' = k / kappa steps, so that both runs see equal samples. It keeps sigma eta, eps eta and
(1 - beta) / eta^2, the constants of the SDE. Nothing is clamped: where a formula leaves its range
the field has no number and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from .config import LARGEST_BATCH, TrainingConfig
from .errors import FieldError, choice, whole
from .exact import Unrepresentable, as_float
from .families import Field, family
from .forecast import Forecast, forecast
from .kind import DECAY_FORMS, FOLLOWS, OURS, PROVED, Decay, DecayForm, Momentum, Power
from .kinds import SCALED_MOMENTUM, with_scaled_momentum
from .reduction import is_summed
from .run_fields import RUN_FIELDS
from .scaled import MOMENTUM_FORMS, MomentumForm, ScaledConfig, ScaledField, ScaledGroup
from .signal import NoiseScaleCurve, excess
from .signal import noise_scale as noise_scale_of

LARGE_STEP_FRACTION = 0.1


def scale(config: TrainingConfig, target_batch: int, decay_form: DecayForm = "linear",
          momentum_form: MomentumForm = "kept", correct_lr: bool = False,
          noise_scale: float | NoiseScaleCurve | Mapping[str, float] | None = None) -> ScaledConfig:
    """Scale a whole configuration to another global batch size, up or down.

    config: the base; target_batch: global batch size in samples; decay_form: ``linear`` is the
    paper's 1 - kappa (1 - beta), ``half-life`` is beta^kappa, equal to first order and always in
    range; momentum_form: whether a momentum whose buffer has no factor (1 - mu) is ``kept``, or
    ``scaled`` like a decay with kappa times more on lr; correct_lr: divide lr by the drift that the
    forecast says is kept (ours, not the paper's); noise_scale: in samples, for the noise-aware transfer of
    :mod:`sqrtscale.rules.signal`; a course of it over samples seen, of which the fields take the mean over the run (over the
    course where ``total_steps`` is not known) and ``lr_factors`` each point; or one for each parameter group by its name, "" for
    the other parameters. Raises FieldError for a target that is no batch size, a value that overflows, and a correction where
    there is no forecast.
    """
    target_batch = whole("target_batch", target_batch, 1, 1024, LARGEST_BATCH)
    forms = choice("decay_form", decay_form, DECAY_FORMS), choice("momentum_form", momentum_form, MOMENTUM_FORMS)
    kappa, treated = Fraction(target_batch, config.batch_size), family(config.optimizer).treated

    noise = _noise_scales(config, noise_scale)
    excesses = {name: excess(config.batch_size, target_batch, value) for name, value in noise.items()}
    signal = {} if family(config.optimizer).noise_alone else excesses  # there the mean changes nothing but the gradient's norm

    def moved(values: Mapping[str, Any], fields: Mapping[str, Field]) -> tuple[ScaledField, ...]:
        return tuple(_row(name, fields[name], value, kappa, treated) for name, value in values.items())

    by_rule = _fields(config, {}, *forms)
    fields = _with_signal(by_rule, signal.get(""))
    of_the_run = {**_with_signal(_reduced(config, RUN_FIELDS), excesses.get("")),
                  "min_lr": _like_lr(RUN_FIELDS["min_lr"], fields["lr"])}
    rows = (*moved(config.hyperparameters, fields), *moved(config.of_the_run(), of_the_run))
    groups = tuple(
        ScaledGroup(group.name, moved(
            _own_values(config, group.values, *forms) if group.name not in signal else _moved_by_signal(config, group.values),
            _with_signal(_fields(config, group.values, *forms), signal.get(group.name, signal.get("")))))
        for group in config.groups)
    warnings = [*_whole_warnings(rows, groups, config, kappa), *(f"{row.name}: {row.warning}" for row in rows if row.warning),
                *(f"{group.name}, {row.name}: {row.warning}" for group in groups for row in group.fields if row.warning)]
    expected = None if noise else _forecast(config, rows)  # that is of the noise-dominated limit
    if correct_lr:
        if expected is None:
            raise FieldError("correct_lr", True, "has no forecast for this optimizer, these decays or this kappa: leave it out")
        # A group with decays of its own loses another share of its drift.
        groups = tuple(replace(group, fields=_corrected(group.fields, _forecast(config, (*rows, *group.fields)) or expected))
                       for group in groups)
        rows = _corrected(rows, expected)
    course = noise_scale if isinstance(noise_scale, NoiseScaleCurve) else None
    factors = tuple((at, _rate_factor(by_rule["lr"], kappa, excess(config.batch_size, target_batch, value) if signal else None))
                    for at, value in (course.over(_samples(config)) if course else ()))
    return ScaledConfig(config, target_batch, decay_form, momentum_form, float(kappa), rows, groups, tuple(warnings), expected,
                        correct_lr, noise, course, factors)


def _noise_scales(config: TrainingConfig, given: float | NoiseScaleCurve | Mapping[str, float] | None) -> dict[str, float]:
    """Noise scale by parameter group, "" for what is in none; empty where none is given. Raises FieldError."""
    if given is None:
        return {}
    if isinstance(given, NoiseScaleCurve):
        return {"": given.mean(_samples(config))}
    if not isinstance(given, Mapping):
        return {"": noise_scale_of(given)}
    known = {"", *(group.name for group in config.groups)}
    for name in given:
        if name not in known:
            raise FieldError("noise_scale", name, "is no parameter group of this configuration: give one of "
                                                  f"{', '.join(sorted(known - {''})) or 'none, it has no groups'}")
    if "" not in given:
        raise FieldError("noise_scale", list(given), "says nothing of the parameters in no group: give theirs by the name \"\"")
    return {name: noise_scale_of(value) for name, value in given.items()}


def _samples(config: TrainingConfig) -> int | None:
    """How many samples the run sees, where that is known."""
    return None if config.total_steps is None else config.total_steps * config.batch_size


def _rate_factor(rate: Field, kappa: Fraction, excess: float | None) -> float:
    """What lr is multiplied by."""
    moved: float = _with_signal({"lr": rate}, excess)["lr"].kind.scale(1.0, kappa)
    return moved


def _with_signal(fields: Mapping[str, Field], excess: float | None) -> Mapping[str, Field]:
    """The fields as they move where the gradient's mean counts beside its noise."""
    if excess is None:
        return fields
    return {name: replace(field, kind=field.kind.with_signal(excess)) for name, field in fields.items()}


def _forecast(config: TrainingConfig, rows: tuple[ScaledField, ...]) -> Forecast | None:
    """The forecast for the moments' decays, where both have numbers that it covers; the last row of a name counts."""
    moments = family(config.optimizer).moments
    if moments is None:
        return None
    row_of = {row.name: row for row in rows}
    first, second = (row_of[name] if name else None for name in moments)
    before = (first.base if first else 0.0, second.base if second else 0.0)
    after = (first.scaled if first else 0.0, second.scaled if second else 0.0)
    covered = all(None not in betas and (betas[1] > 0 or betas[0] == 0) for betas in (before, after))
    return forecast(before, after) if covered else None


def _corrected(rows: tuple[ScaledField, ...], expected: Forecast) -> tuple[ScaledField, ...]:
    """The same rows with lr (and a schedule's lowest lr) divided by the drift."""
    return tuple(_corrected_rate(row, expected.lr_correction) if row.name in ("lr", "min_lr") else row for row in rows)


def _corrected_rate(row: ScaledField, factor: float) -> ScaledField:
    scaled = as_float(row.scaled * factor)
    if scaled is None:
        raise FieldError(row.name, row.base, "leaves the range of floating-point numbers with the correction: give a value of "
                                             "ordinary size")
    return replace(row, scaled=scaled, formula=f"{row.formula} * {factor:.6g}", status=OURS,
                   source=f"{row.source}; factor 1 / drift from our forecast",
                   reason=f"{row.reason} The factor {factor:.6g} restores the drift that the rule loses at this kappa.")


def _fields(config: TrainingConfig, own: Mapping[str, float], decay_form: DecayForm,
            momentum_form: MomentumForm) -> dict[str, Field]:
    """The family's fields, for values with a group's own; with a scaled momentum, that and lr move by other rules."""
    fields = dict(family(config.optimizer).fields)
    for name, field in tuple(fields.items()):
        momentum = own.get(name, config[name])
        if isinstance(field.kind, Momentum) and momentum and momentum_form == "scaled":
            fields[name] = replace(field, kind=SCALED_MOMENTUM)
            fields["lr"] = replace(fields["lr"], kind=with_scaled_momentum(_power(fields["lr"]), momentum, decay_form))
    return {name: replace(field, kind=field.kind.in_form(decay_form)) for name, field in _reduced(config, fields).items()}


def _reduced(config: TrainingConfig, fields: Mapping[str, Field]) -> Mapping[str, Field]:
    """The fields as they move with the gradient that the run has: of the mean loss, or of the sum."""
    if not is_summed(config):
        return fields
    return {name: replace(field, kind=field.kind.of_sums()) for name, field in fields.items()}


def _own_values(config: TrainingConfig, own: Mapping[str, float], decay_form: DecayForm,
                momentum_form: MomentumForm) -> Mapping[str, float]:
    """A group's own values; with lr beside them where its momentum makes lr move by another rule than the optimizer's."""
    same = _fields(config, own, decay_form, momentum_form)["lr"] == _fields(config, {}, decay_form, momentum_form)["lr"]
    return own if same or "lr" in own else {"lr": config["lr"], **own}


def _follows_noise(field: Field) -> bool:
    return isinstance(field.kind, Power) and field.kind.noise_power != 0


def _moved_by_signal(config: TrainingConfig, own: Mapping[str, float]) -> Mapping[str, float]:
    """A group's own values, and all that move in it by its own noise scale."""
    fields = family(config.optimizer).fields
    return {name: value for name, value in config.hyperparameters.items()
            if name in own or _follows_noise(fields[name])} | dict(own)


def _like_lr(lowest: Field, rate: Field) -> Field:
    """The schedule's lowest lr, moving as that family's lr does."""
    own = _power(lowest)
    return replace(lowest, kind=replace(_power(rate), status=own.status, positive=own.positive, example=own.example,
                                        reason=own.reason))


def _power(rate: Field) -> Power:
    """The kind of a learning rate, which is a power of kappa in every family."""
    if not isinstance(rate.kind, Power):
        raise TypeError(f"{rate.label} is no power of kappa")
    return rate.kind


def _row(name: str, field: Field, value: Any, kappa: Fraction, treated: bool) -> ScaledField:
    kind = field.kind
    half_life = largest = None
    try:
        scaled = kind.scale(value, kappa)
        if isinstance(kind, Decay):
            half_life, largest = kind.half_life(value, kappa), kind.largest_kappa(value)
    except Unrepresentable as error:
        raise FieldError(name, value, str(error)) from error
    status = FOLLOWS if kind.status == PROVED and not treated else kind.status
    return ScaledField(
        name=name, label=field.label, base=value, scaled=scaled, formula=kind.formula(name), reason=kind.reason,
        source=kind.source, status=status, half_life=half_life, largest_kappa=largest,
        warning=kind.warning(name, value, scaled, kappa))


def _whole_warnings(rows: tuple[ScaledField, ...], groups: tuple[ScaledGroup, ...], config: TrainingConfig,
                    kappa: Fraction) -> list[str]:
    """What holds for the transfer as a whole."""
    if kappa == 1:
        return ["The target batch equals the base batch: nothing changes."]
    warnings = list(family(config.optimizer).notes)
    # The rule's error grows with 1 - beta': section "validity" of the paper, C (1 + kappa) eta^2.
    named = [*((row.name, row) for row in rows),
             *((f"{row.name} of {group.name}", row) for group in groups for row in group.fields)]
    short = [name for name, row in named
             if row.half_life is not None and row.scaled is not None and row.name not in ("beta1", "momentum")
             and 1 - row.scaled > LARGE_STEP_FRACTION]
    if kappa > 1 and short:
        warnings.append(
            f"{' and '.join(short)} would average over fewer than {1 / LARGE_STEP_FRACTION:.0f} steps: the rule is "
            "an approximation for slowly moving averages, so measure it at this kappa before you rely on it."
        )
    return warnings
