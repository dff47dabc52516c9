"""What every kind of schedule is: settings that are checked, text that is read back, words, and a factor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from ..rules import FieldError


@dataclass(frozen=True)
class Schedule(ABC):
    """One kind of schedule with its settings; raises FieldError for settings that it cannot have.

    name: what users type; label: what they read; usage: what to type, for errors and for help.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    usage: ClassVar[str]

    def __post_init__(self) -> None:
        if not self._allowed():
            raise FieldError("schedule", (self.name, *vars(self).values()), self.remedy())

    def __str__(self) -> str:
        return ":".join(filter(None, (self.name, ",".join(self._settings()))))

    def factor(self, share: float) -> float:
        """What multiplies the peak learning rate when ``share`` (0 to 1) of a run's samples after the branch point are seen.

        A trainer takes it at the middle of each optimizer step. The sum of lr over the steps is then the midpoint rule for the
        integral of lr over samples: arms of whatever batch agree in it to second order in the step where the schedule is smooth
        or has a corner, to order 3/2 where 1-sqrt begins, and to first order at a milestone in the middle of a step.
        """
        if not 0 <= share <= 1:
            raise FieldError("share", share, "is not a share of a run: give a number from 0 to 1")
        return self._factor(share)

    @property
    @abstractmethod
    def words(self) -> str:
        """What the learning rate does, for the end of a sentence that begins with it: ``falls along a cosine to 0``."""

    @classmethod
    @abstractmethod
    def read(cls, settings: Sequence[str]) -> Self:
        """The schedule with these settings, as typed; those left out take their defaults. Raises ValueError."""

    @abstractmethod
    def _settings(self) -> tuple[str, ...]:
        """The inverse of ``read``; defaults at the end are left out."""

    @abstractmethod
    def _allowed(self) -> bool:
        """Whether the settings are what this kind can have, of whatever type they are."""

    @abstractmethod
    def _factor(self, share: float) -> float:
        """``factor`` of a share from 0 to 1."""

    @classmethod
    def remedy(cls) -> str:
        """The rest of an error's sentence: what it is not, and what to give instead."""
        return f"is not a schedule of kind {cls.name}: give {cls.usage}"
