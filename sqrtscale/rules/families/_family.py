"""What an optimizer family is: a table of fields, each of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..kinds import Decay, KeptMomentum, Kind


@dataclass(frozen=True)
class Field:
    """One hyperparameter: its kind, the library's default and a label for people."""

    kind: Kind
    default: float
    label: str

    @property
    def is_decay(self) -> bool:
        """True for a decay per step that the rule moves (and that has a half-life form)."""
        return isinstance(self.kind, Decay) and not isinstance(self.kind, KeptMomentum)


@dataclass(frozen=True)
class Family:
    """An optimizer as data.

    name: what users type (``adamw``); label: what they read (``AdamW``); torch_class: the class in
    ``torch.optim``; update: the update equation in that library's convention; source: where the
    equation and its rule stand; fields: name of each hyperparameter -> Field, in the order shown.
    """

    name: str
    label: str
    torch_class: str
    update: str
    source: str
    fields: Mapping[str, Field]
