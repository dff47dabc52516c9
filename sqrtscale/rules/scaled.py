"""What a transfer gives: every field of a configuration at both batches, with formula, source and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from . import signal
from .config import ParameterGroup, TrainingConfig, named_as_pytorch
from .errors import FieldError
from .families import family
from .forecast import Forecast
from .kind import DecayForm
from .run_fields import RUN_FIELDS
from .signal import NoiseScaleCurve

MomentumForm = Literal["kept", "scaled"]
MOMENTUM_FORMS: tuple[MomentumForm, ...] = ("kept", "scaled")


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
    lr_corrected: whether lr makes up for that error's drift; noise_scale: what the transfer was made with, by parameter group
    ("" for the others), the mean of a course over the run; empty for the paper's rule; course, lr_factors: where it was given as
    one, that and (samples seen, factor on the base's lr) along it, in place of the constant factor of ``fields``.
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
    noise_scale: Mapping[str, float] = field(default_factory=dict)
    course: NoiseScaleCurve | None = None
    lr_factors: tuple[tuple[float, float], ...] = ()

    @property
    def rows(self) -> tuple[ScaledField, ...]:
        """Every row: of the optimizer, of the run, of each group."""
        return (*self.fields, *(row for group in self.groups for row in group.fields))

    @property
    def rule(self) -> str:
        """What moved it: the square-root rule, SGD's linear one, or the noise-aware transfer with its noise scale."""
        if not self.noise_scale:
            return family(self.base.optimizer).rule
        values = dict.fromkeys(f"{value:g}" for value in self.noise_scale.values())
        return f"noise-aware transfer, noise scale {', '.join(values)}{' on average' * bool(self.course)}"

    @property
    def follows_noise_scale(self) -> bool:
        """Whether lr moves by the noise scale: not SGD's, nor one whose gradient is divided by its noise alone."""
        return bool(self.noise_scale) and family(self.base.optimizer).follows_noise_scale

    @property
    def square_root_share(self) -> float:
        """The square-root rule's lr over this one: its share of the base's drift and noise per sample; 1 where they are equal."""
        if not self.follows_noise_scale:
            return 1.0
        return signal.square_root_share(self.base.batch_size, self.target_batch, self.noise_scale[""])

    @property
    def which_rule(self) -> str:
        """Which of the two applies, the square-root rule or this transfer by a noise scale, for a user."""
        if not self.follows_noise_scale:
            return f"The noise scale changes nothing about the lr of {family(self.base.optimizer).label}."
        return signal.sentence(self.base.batch_size, self.target_batch, self.noise_scale[""])

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
        """The JSON object of ``sqrtscale scale --json``: kappa, forms, base, scaled, fields, warnings, any noise scale."""
        scaled = {row.name: _listed(row.scaled) for row in self.fields}
        run = {name: scaled.pop(name) for name in RUN_FIELDS if name in scaled}
        lengths = {name: run.pop(name, None) for name in ("total_steps", "warmup_steps")}
        answer: dict[str, Any] = {
            "kappa": self.kappa,
            "decay_form": self.decay_form,
            "momentum_form": self.momentum_form,
            "base": self.base.as_dict(),
            "scaled": named_as_pytorch(
                {"optimizer": self.base.optimizer, **scaled, "batch_size": self.target_batch, **lengths, **run}
            ),
            "fields": [_as_json(row) for row in self.fields],
            "warnings": list(self.warnings),
            "forecast": asdict(self.forecast) if self.forecast else None,
            "lr_corrected": self.lr_corrected,
        }
        if self.noise_scale:
            alone = self.noise_scale[""] if len(self.noise_scale) == 1 else dict(self.noise_scale)
            answer["noise_scale"] = _points(self.course.points) if self.course else alone
        if self.lr_factors:
            answer["lr_factors"] = _points(self.lr_factors)
        if self.groups:
            answer["scaled"]["groups"] = [
                {"name": group.name, **named_as_pytorch({row.name: row.scaled for row in group.fields})} for group in self.groups]
        return answer


def _as_json(row: ScaledField) -> dict[str, Any]:
    return {name: _listed(value) for name, value in asdict(row).items() if name != "label"}


def _points(points: tuple[tuple[float, float], ...]) -> list[list[float]]:
    return [list(point) for point in points]


def _listed(value: Any) -> Any:
    """A list for a tuple (milestones), anything else as it is."""
    return list(value) if isinstance(value, tuple) else value
