"""The transfer: a configuration at one batch size -> the configuration at another.

Square-root scaling rule [Malladi et al. 2022, arXiv 2205.10287, the rules for RMSprop and Adam]:
with kappa = B'/B,  eta' = sqrt(kappa) eta,  1 - beta' = kappa (1 - beta),  eps' = eps / sqrt(kappa),
and k' = k / kappa steps, so that both runs see equal samples. It keeps sigma eta, eps eta and
(1 - beta) / eta^2, the constants of the SDE. Nothing is clamped: where a formula leaves its range
the field has no number and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from .config import LARGEST_BATCH, ParameterGroup, TrainingConfig, named_as_pytorch
from .errors import FieldError, choice, whole
from .families import Field, family
from .forecast import Forecast, forecast
from .kinds import (
    DECAY_FORMS,
    FOLLOWS,
    OURS,
    PROVED,
    SCALED_MOMENTUM,
    Decay,
    DecayForm,
    Momentum,
    Power,
    Unrepresentable,
    as_float,
    with_scaled_momentum,
)
from .reduction import is_summed
from .run_fields import RUN_FIELDS

MomentumForm = Literal["kept", "scaled"]
MOMENTUM_FORMS: tuple[MomentumForm, ...] = ("kept", "scaled")
LARGE_STEP_FRACTION = 0.1


@dataclass(frozen=True)
class ScaledField:
    """One row of the answer.

    name, label: the field; base, scaled: its values (``scaled`` is None where the rule has no number);
    formula, reason, source, status: how, why, from where and how sure; half_life: the other form's
    value for a decay, else None; largest_kappa: the largest kappa for which the linear form has a
    number, else None; warning: one sentence, or empty.
    """

    name: str
    label: str
    base: Any
    scaled: Any
    formula: str
    reason: str
    source: str
    status: str
    half_life: float | None = None
    largest_kappa: float | None = None
    warning: str = ""


@dataclass(frozen=True)
class ScaledGroup:
    """A parameter group scaled: its name, and a row for each hyperparameter that it sets itself."""

    name: str
    fields: tuple[ScaledField, ...]


@dataclass(frozen=True)
class ScaledConfig:
    """A base configuration, its target batch and every field scaled.

    kappa: target batch / base batch; fields: in the order of the family, then those of the run;
    groups: parameter groups; warnings: sentences about the transfer as a whole and about single fields;
    forecast: the rule's own error at this kappa while noise dominates, or None where it is not known;
    lr_corrected: whether lr makes up for that error's drift.
    """

    base: TrainingConfig
    target_batch: int
    decay_form: DecayForm
    momentum_form: MomentumForm
    kappa: float
    fields: tuple[ScaledField, ...]
    groups: tuple[ScaledGroup, ...]
    warnings: tuple[str, ...]
    forecast: Forecast | None = None
    lr_corrected: bool = False

    @property
    def rows(self) -> tuple[ScaledField, ...]:
        """Every row: of the optimizer, of the run, of each group."""
        return (*self.fields, *(row for group in self.groups for row in group.fields))

    @property
    def complete(self) -> bool:
        """True when every field has a number."""
        return all(row.scaled is not None for row in self.rows)

    @property
    def config(self) -> TrainingConfig:
        """The scaled configuration; raises FieldError naming the first field without a number."""
        for row in self.rows:
            if row.scaled is None:
                raise FieldError(row.name, row.base, f"has no scaled value: {row.warning}")
        values = {row.name: row.scaled for row in self.fields}
        run = {name: values.pop(name) for name in RUN_FIELDS if name in values}
        groups = tuple(ParameterGroup(group.name, {row.name: row.scaled for row in group.fields}) for group in self.groups)
        return TrainingConfig(self.base.optimizer, self.target_batch, values, run.pop("total_steps", None),
                              run.pop("warmup_steps", None), run, groups)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of ``sqrtscale scale --json``: kappa, forms, base, scaled, fields, warnings."""
        scaled = {row.name: _json(row.scaled) for row in self.fields}
        run = {name: scaled.pop(name) for name in RUN_FIELDS if name in scaled}
        lengths = {name: run.pop(name, None) for name in ("total_steps", "warmup_steps")}
        found = {
            "kappa": self.kappa,
            "decay_form": self.decay_form,
            "momentum_form": self.momentum_form,
            "base": self.base.as_dict(),
            "scaled": named_as_pytorch(
                {"optimizer": self.base.optimizer, **scaled, "batch_size": self.target_batch, **lengths, **run}
            ),
            "fields": [_plain(row) for row in self.fields],
            "warnings": list(self.warnings),
            "forecast": asdict(self.forecast) if self.forecast else None,
            "lr_corrected": self.lr_corrected,
        }
        if self.groups:
            found["scaled"]["groups"] = [
                {"name": group.name, **named_as_pytorch({row.name: row.scaled for row in group.fields})} for group in self.groups]
        return found


def _plain(row: ScaledField) -> dict[str, Any]:
    found = asdict(row)
    del found["label"]
    return {name: _json(value) for name, value in found.items()}


def _json(value: Any) -> Any:
    """A list for a tuple (milestones), anything else as it is."""
    return list(value) if isinstance(value, tuple) else value


def scale(config: TrainingConfig, target_batch: int, decay_form: DecayForm = "linear",
          momentum_form: MomentumForm = "kept", correct_lr: bool = False) -> ScaledConfig:
    """Scale a whole configuration to another global batch size, up or down.

    config: the base; target_batch: global batch size in samples; decay_form: ``linear`` is the
    paper's 1 - kappa (1 - beta), ``half-life`` is beta^kappa, equal to first order and always in
    range; momentum_form: whether a momentum whose buffer has no factor (1 - mu) is ``kept``, or
    ``scaled`` like a decay with kappa times more on lr; correct_lr: divide lr by the drift that the
    forecast says is kept (ours, not the paper's). Raises FieldError for a target that is no batch
    size, a value that overflows, and a correction where there is no forecast.
    """
    target_batch = whole("target_batch", target_batch, 1, 1024, LARGEST_BATCH)
    forms = choice("decay_form", decay_form, DECAY_FORMS), choice("momentum_form", momentum_form, MOMENTUM_FORMS)
    kappa, treated = Fraction(target_batch, config.batch_size), family(config.optimizer).treated

    def moved(values: Mapping[str, Any], fields: Mapping[str, Field]) -> tuple[ScaledField, ...]:
        return tuple(_row(name, fields[name], value, kappa, treated) for name, value in values.items())

    fields = _fields(config, {}, *forms)
    of_the_run = {**_reduced(config, RUN_FIELDS), "min_lr": _like_lr(RUN_FIELDS["min_lr"], fields["lr"].kind)}
    rows = (*moved(config.hyperparameters, fields), *moved(config.of_the_run(), of_the_run))
    groups = tuple(ScaledGroup(group.name, moved(_own_values(config, group.values, *forms),
                                                 _fields(config, group.values, *forms))) for group in config.groups)
    warnings = [*_whole_warnings(rows, groups, config, kappa), *(f"{row.name}: {row.warning}" for row in rows if row.warning),
                *(f"{group.name}, {row.name}: {row.warning}" for group in groups for row in group.fields if row.warning)]
    found = _forecast(config, rows)
    if correct_lr:
        if found is None:
            raise FieldError("correct_lr", True, "has no forecast for this optimizer, these decays or this kappa: leave it out")
        # A group with decays of its own loses another share of its drift.
        groups = tuple(replace(group, fields=_corrected(group.fields, _forecast(config, (*rows, *group.fields)) or found))
                       for group in groups)
        rows = _corrected(rows, found)
    return ScaledConfig(config, target_batch, decay_form, momentum_form, float(kappa), rows, groups, tuple(warnings), found,
                        correct_lr)


def _forecast(config: TrainingConfig, rows: tuple[ScaledField, ...]) -> Forecast | None:
    """The forecast for the moments' decays, where both have numbers that it covers; the last row of a name counts."""
    moments = family(config.optimizer).moments
    if moments is None:
        return None
    sides = ({row.name: row.base for row in rows}, {row.name: row.scaled for row in rows})
    before, after = (tuple(values[name] if name else 0.0 for name in moments) for values in sides)
    covered = all(None not in betas and (betas[1] > 0 or betas[0] == 0) for betas in (before, after))
    return forecast(before, after) if covered else None


def _corrected(rows: tuple[ScaledField, ...], found: Forecast) -> tuple[ScaledField, ...]:
    """The same rows with lr (and a schedule's lowest lr) divided by the drift."""
    return tuple(_corrected_rate(row, found.lr_correction) if row.name in ("lr", "min_lr") else row for row in rows)


def _corrected_rate(row: ScaledField, factor: float) -> ScaledField:
    scaled = as_float(row.scaled * factor)
    if scaled is None:
        raise FieldError(row.name, row.base, "leaves the range of floating-point numbers with the correction: give a value of "
                                             "ordinary size")
    return replace(row, scaled=scaled, formula=f"{row.formula} * {factor:.6g}", status=OURS,
                   source=f"{row.source}; factor 1 / drift from our forecast",
                   reason=f"{row.reason} The factor {factor:.6g} restores the drift that the rule loses at this kappa.")


def _fields(config: TrainingConfig, own: Mapping[str, float], decay_form: DecayForm,
            momentum_form: MomentumForm) -> Mapping[str, Field]:
    """The family's fields, for values with a group's own; with a scaled momentum, that and lr move by other rules."""
    fields = dict(family(config.optimizer).fields)
    for name, field in tuple(fields.items()):
        momentum = own.get(name, config[name])
        if isinstance(field.kind, Momentum) and momentum and momentum_form == "scaled":
            fields[name] = replace(field, kind=SCALED_MOMENTUM)
            fields["lr"] = replace(fields["lr"], kind=with_scaled_momentum(fields["lr"].kind, momentum, decay_form))
    fields = _reduced(config, fields)
    return {name: replace(field, kind=field.kind.in_form(decay_form)) for name, field in fields.items()}


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


def _like_lr(lowest: Field, rate: Power) -> Field:
    """The schedule's lowest lr, moving as that family's lr does."""
    about = lowest.kind
    return replace(lowest, kind=replace(rate, status=about.status, positive=about.positive, example=about.example, why=about.why))


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
        name=name, label=field.label, base=value, scaled=scaled, formula=kind.formula(name), reason=kind.reason(name),
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
