"""Schedules of a calibration: the learning rate over its peak as a function of the share of a run's samples that are seen.

A schedule moves with samples seen and not with steps, so it is one function for all arms, whatever their batch. A text names one,
its kind and after a colon its settings: ``cosine``, ``cosine:0.1``, ``wsd:0.2,1-sqrt``. Plans store that text, so what a kind is
called, the order of its settings and their defaults never change.
"""

from __future__ import annotations

from ..rules import FieldError
from ._carried import schedule_of
from ._schedule import Schedule
from .kinds import KINDS, Constant

__all__ = ["CONSTANT", "KINDS", "Schedule", "schedule", "schedule_of"]

CONSTANT: Schedule = Constant()


def schedule(text: str) -> Schedule:
    """The schedule that a text names: its kind and, after a colon, its settings with commas. Raises FieldError."""
    name, colon, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    kind = KINDS.get(name.strip().lower())
    if kind is None:
        raise FieldError("schedule", text, f"is not a schedule: give one of {', '.join(KINDS)}, with settings after a colon, for "
                                           "example cosine:0.1")
    try:
        return kind.read([setting.strip() for setting in rest.split(",")] if colon else [])
    except ValueError as error:  # also a FieldError, whose value would be the settings and not what was typed
        raise FieldError("schedule", text, kind.remedy()) from error
