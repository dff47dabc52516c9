"""The transfer: a configuration at one batch size -> the configuration at another.

Square-root scaling rule [Malladi et al. 2022, arXiv 2205.10287, the rules for RMSprop and Adam]:
with kappa = B'/B,  eta' = sqrt(kappa) eta,  1 - beta' = kappa (1 - beta),  eps' = eps / sqrt(kappa),
and k' = k / kappa steps, so that both runs see equal samples. It keeps sigma eta, eps eta and
(1 - beta) / eta^2, the constants of the SDE. Nothing is clamped: where a formula leaves its range
the field has no number and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from .config import LARGEST_BATCH, TrainingConfig, named_as_pytorch
from .errors import FieldError, whole
from .families import Field, family
from .kinds import CONVENTION, FOLLOWS, PAPER

DecayForm = Literal["linear", "half-life"]
DECAY_FORMS: tuple[DecayForm, ...] = ("linear", "half-life")
HALF_LIFE_SOURCE = "half-life in samples kept; Marek et al. 2025 (arXiv 2507.07101) for beta2"
ROUNDING_WORTH_SAYING = 0.01
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
    base: float | int
    scaled: float | int | None
    formula: str
    reason: str
    source: str
    status: str
    half_life: float | None = None
    largest_kappa: float | None = None
    warning: str = ""


@dataclass(frozen=True)
class ScaledConfig:
    """A base configuration, its target batch and every field scaled.

    kappa: target batch / base batch; fields: in the order of the family, then lengths in steps;
    warnings: sentences about the transfer as a whole and about single fields.
    """

    base: TrainingConfig
    target_batch: int
    decay_form: DecayForm
    kappa: float
    fields: tuple[ScaledField, ...]
    warnings: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """True when every field has a number."""
        return all(row.scaled is not None for row in self.fields)

    @property
    def config(self) -> TrainingConfig:
        """The scaled configuration; raises FieldError naming the first field without a number."""
        for row in self.fields:
            if row.scaled is None:
                raise FieldError(row.name, row.base, f"has no scaled value: {row.warning}")
        values = {row.name: row.scaled for row in self.fields}
        lengths = {name: values.pop(name, None) for name in ("total_steps", "warmup_steps")}
        return TrainingConfig(self.base.optimizer, self.target_batch, values, **lengths)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of ``sqrtscale scale --json``: kappa, base, scaled, fields, warnings."""
        scaled = {row.name: row.scaled for row in self.fields}
        lengths = {name: scaled.pop(name, None) for name in ("total_steps", "warmup_steps")}
        return {
            "kappa": self.kappa,
            "decay_form": self.decay_form,
            "base": self.base.as_dict(),
            "scaled": named_as_pytorch(
                {"optimizer": self.base.optimizer, **scaled, "batch_size": self.target_batch, **lengths}
            ),
            "fields": [
                {
                    key: getattr(row, key)
                    for key in ("name", "base", "scaled", "formula", "reason", "source", "status",
                                "half_life", "largest_kappa", "warning")
                }
                for row in self.fields
            ],
            "warnings": list(self.warnings),
        }


def scale(config: TrainingConfig, target_batch: int, decay_form: DecayForm = "linear") -> ScaledConfig:
    """Scale a whole configuration to another global batch size, up or down.

    config: the base; target_batch: global batch size in samples; decay_form: ``linear`` is the
    paper's 1 - kappa (1 - beta), ``half-life`` is beta^kappa, equal to first order and always in
    range. Raises FieldError for a target that is no batch size or a value that overflows.
    """
    target_batch = whole("target_batch", target_batch, 1, 1024, LARGEST_BATCH)
    if decay_form not in DECAY_FORMS:
        raise FieldError("decay_form", decay_form, f"is not known: give one of {', '.join(DECAY_FORMS)}")
    kappa = Fraction(target_batch, config.batch_size)
    rows = [
        _scaled_field(name, field, config[name], kappa, decay_form)
        for name, field in family(config.optimizer).fields.items()
    ]
    for name, label in (("total_steps", "Total steps"), ("warmup_steps", "Warm-up steps")):
        steps = getattr(config, name)
        if steps is not None:
            rows.append(_scaled_steps(name, label, steps, kappa))
    warnings = [*_whole_warnings(rows, kappa), *(f"{row.name}: {row.warning}" for row in rows if row.warning)]
    return ScaledConfig(config, target_batch, decay_form, float(kappa), tuple(rows), tuple(warnings))


def _scaled_field(name: str, field: Field, value: float, kappa: Fraction, form: DecayForm) -> ScaledField:
    kind = field.kind
    row = dict(name=name, label=field.label, base=value, reason=kind.reason(name))
    if not field.is_decay:
        scaled = kind.scale(value, kappa)
        if not math.isfinite(scaled) or (value > 0 and scaled == 0):
            raise FieldError(name, value, f"leaves the range of floating-point numbers at kappa = {float(kappa):g}: "
                                          "give a value of ordinary size")
        return ScaledField(**row, scaled=scaled, formula=kind.formula(name), source=kind.source, status=kind.status)
    linear, half_life, largest = kind.scale(value, kappa), kind.half_life(value, kappa), kind.largest_kappa(value)
    row |= dict(half_life=half_life, largest_kappa=largest)
    if half_life is None:
        raise FieldError(name, value, f"rounds to 1 at kappa = {float(kappa):g}: give a target nearer to the base")
    if form == "half-life":
        return ScaledField(**row, scaled=half_life, formula=kind.half_life_formula(name),
                           source=HALF_LIFE_SOURCE, status=FOLLOWS)
    warning = ""
    if linear is None:
        warning = (
            f"1 - kappa (1 - {name}) = {float(1 - kappa * (1 - Fraction(repr(value)))):.6g} is not a decay rate. "
            f"The linear form reaches kappa = {largest:.6g}; the half-life form {name}^kappa gives {half_life:.6g}."
        )
    return ScaledField(**row, scaled=linear, formula=kind.formula(name), source=kind.source,
                       status=kind.status, warning=warning)


def _scaled_steps(name: str, label: str, steps: int, kappa: Fraction) -> ScaledField:
    exact = steps / kappa
    rounded = math.floor(exact + Fraction(1, 2))
    warning = ""
    off = abs(rounded - exact) / exact if exact else 0
    if rounded == 0 and name == "total_steps":
        warning = (f"{steps} / kappa = {float(exact):.6g} is less than one step of the target batch: "
                   "give more steps or a smaller target.")
    elif off > ROUNDING_WORTH_SAYING:
        warning = f"{steps} / kappa = {float(exact):.6g} was rounded to {rounded}, {float(off):.0%} off."
    return ScaledField(
        name=name, label=label, base=steps, scaled=None if rounded == 0 and name == "total_steps" else rounded,
        formula=f"{name}' = {name} / kappa, rounded", source=f"{PAPER}, equal samples seen", status=CONVENTION,
        reason="Both runs see the same number of samples, and a step covers kappa times as many.", warning=warning,
    )


def _whole_warnings(rows: list[ScaledField], kappa: Fraction) -> list[str]:
    """What holds for the transfer as a whole."""
    warnings = []
    if kappa == 1:
        return ["The target batch equals the base batch: nothing changes."]
    # The rule's error grows with 1 - beta': section "validity" of the paper, C (1 + kappa) eta^2.
    short = [row.name for row in rows
             if row.half_life is not None and row.scaled is not None and row.name != "beta1"
             and 1 - row.scaled > LARGE_STEP_FRACTION]
    if kappa > 1 and short:
        warnings.append(
            f"{' and '.join(short)} would average over fewer than {1 / LARGE_STEP_FRACTION:.0f} steps: the rule is "
            "an approximation for slowly moving averages, so measure it at this kappa before you rely on it."
        )
    return warnings
