"""Configurations side by side: every field of compared calibrations as text, and whether it differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..rules import TrainingConfig, family
from ..store import CalibrationRecord, Record
from ..tasks import task
from .comparison import RULE, Member

PACKAGES = ("sqrtscale", "torch", "numba")  # on whose version the numbers may depend


@dataclass(frozen=True)
class Setting:
    """A field, and its value in each calibration: empty where it has none."""

    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """True where not all calibrations have the same."""
        return len(set(self.values)) > 1


def settings(members: Sequence[Member]) -> tuple[Setting, ...]:
    """Every field: what is trained, hyperparameters, how it is compared."""
    parts = [_parts(member.record) for member in members]
    fields = []
    for columns in zip(*parts, strict=True):
        texts = [{name: _text(value) for name, value in column.items()} for column in columns]
        names = dict.fromkeys(name for column in texts for name in column)
        fields += [Setting(name, tuple(column.get(name, "") for column in texts)) for name in names]
    return tuple(fields)


def _parts(record: Record) -> tuple[dict[str, Any], ...]:
    """What is trained, hyperparameters, how it is compared: of an imported comparison what is known of them."""
    plan = record.plan
    batches = {"batch size": _moved(plan.base_batch, plan.target_batch), "kappa": plan.target_batch / plan.base_batch}
    if isinstance(record, CalibrationRecord):
        return _trained(record) | batches, _hyperparameters(record), _calibrated(record)
    return batches, {}, {"metric": plan.judged, "seeds": str(len(plan.seeds)), "arms": ", ".join(arm.name for arm in plan.arms),
                         "paired": plan.paired, "compared from": f"{plan.warm_samples:,} {plan.counted}"}


def _trained(record: CalibrationRecord) -> dict[str, Any]:
    plan = record.plan
    return {"task": task(plan.task).title, "task version": plan.version, "model": task(plan.task).model_of(plan.size),
            "optimizer": family(plan.base.optimizer).label}


def _hyperparameters(record: CalibrationRecord) -> dict[str, Any]:
    """With what else the run depends on: base and scaled, where these are not the same."""
    before, after = (_fields(config) for config in (record.plan.base, record.plan.config_of(RULE)))
    return {name: _moved(before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])}


def _calibrated(record: CalibrationRecord) -> dict[str, Any]:
    plan, packages = record.plan, record.environment.get("packages", {})
    return {"decay form": plan.decay_form, "momentum form": plan.momentum_form, "corrected lr": plan.correct_lr,
            "start": plan.start, **({"checkpoint": plan.checkpoint.words} if plan.checkpoint else {}),
            "warm-start samples": f"{plan.warm_samples:,}", "samples a run": f"{plan.samples:,}",
            "schedule": plan.schedule, "seeds": plan.seeds_in_words, "evaluations": plan.evaluations,
            "arms": ", ".join(arm.name for arm in plan.arms), "device": record.device or plan.device,
            "executor": record.executors, **{name: packages[name] for name in PACKAGES if name in packages}}


def _fields(config: TrainingConfig) -> dict[str, Any]:
    return {**config.hyperparameters, **config.of_the_run()}


def _moved(before: Any, after: Any) -> str:
    texts = [_text(value) for value in (before, after)]
    return texts[0] if texts[0] == texts[1] else " → ".join(text or "none" for text in texts)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_text, value))
    return f"{value:.8g}" if isinstance(value, float) else str(value)
