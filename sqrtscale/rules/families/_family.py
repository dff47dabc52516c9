"""What an optimizer family is: a table of fields, each of one kind, in one library's convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..kind import Decay, Kind, Power

LIBRARIES = {"pytorch": "PyTorch", "keras": "Keras 3", "optax": "optax", "timm": "timm", "composer": "Composer"}


@dataclass(frozen=True)
class Field:
    """One hyperparameter: its kind, the library's default and a label for people."""

    kind: Kind
    default: Any
    label: str

    @property
    def is_decay(self) -> bool:
        """True for a decay per step that the rule moves (and that has a half-life form)."""
        return isinstance(self.kind, Decay)


@dataclass(frozen=True)
class Family:
    """An optimizer as data, in the convention of one library.

    name: what users type (``adamw``); label: what they read (``AdamW``); call: the class or function that
    makes it (``torch.optim.AdamW``); update: the update equation in that library's convention; source:
    where the equation and its rule stand; fields: name of each hyperparameter -> Field, in the order shown;
    library, algorithm: which convention of which optimizer; arguments: our name -> the library's, where they
    differ; options: further fixed arguments of the call; moments: the decays of m and v ("" where there is
    no m), from which the error at finite kappa follows, or None; treated: False for a relative of what the paper
    treats, for which its proofs are only a reason; noise_alone: whether a gradient is divided by the size of its noise alone, its
    squared mean being subtracted; look_ahead: whether a step goes along beta1 m + (1 - beta1) g instead of m (Nesterov);
    notes: what every transfer must say.
    """

    name: str
    label: str
    call: str
    update: str
    source: str
    fields: Mapping[str, Field]
    algorithm: str
    library: str = "pytorch"
    arguments: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    moments: tuple[str, str] | None = None
    treated: bool = True
    noise_alone: bool = False
    look_ahead: bool = False
    notes: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """What the rule is called, after the factor on lr."""
        kind = self.fields["lr"].kind
        return "linear rule" if isinstance(kind, Power) and kind.exponent == 1 else "square-root rule"

    @property
    def follows_noise_scale(self) -> bool:
        """Whether the noise scale changes how lr and second moments move: not where nothing, or the noise alone, divides."""
        kind = self.fields["lr"].kind
        return isinstance(kind, Power) and kind.noise_power != 0 and not self.noise_alone

    @property
    def argument_names(self) -> dict[str, str]:
        """Our name of every field -> its name in the library."""
        return {name: self.arguments.get(name, name) for name in self.fields}
