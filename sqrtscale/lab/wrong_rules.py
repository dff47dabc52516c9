"""The square-root rule, and what people do instead of it: how a batch kappa times the base's is run, by the rule's measure.

Every number is what a hyperparameter is, over what the square-root rule makes of it. The rule itself has 1 everywhere, so the
constants of its SDE are kept; another rule leaves them, and its error does not vanish with the batch size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ..rules.errors import FieldError, choice

RIGHT = "square root"
ALPHA = "lr kappa^(1/alpha)"


class Wrongness(NamedTuple):
    """Over the square-root rule's: learning rate, epsilon, 1 - beta of both, weight decay."""

    lr: float = 1.0
    eps: float = 1.0
    decays: float = 1.0
    weight_decay: float = 1.0


def _unscaled(kappa: float, alpha: float) -> Wrongness:
    root = math.sqrt(kappa)
    return Wrongness(1 / root, root, 1 / kappa, 1 / root)


RULES: dict[str, Callable[[float, float], Wrongness]] = {  # name -> of kappa and, for stable noise, alpha
    RIGHT: lambda kappa, alpha: Wrongness(),
    "linear lr": lambda kappa, alpha: Wrongness(lr=math.sqrt(kappa)),
    "eps left": lambda kappa, alpha: Wrongness(eps=math.sqrt(kappa)),
    "betas left": lambda kappa, alpha: Wrongness(decays=1 / kappa),
    "unscaled": _unscaled,
    ALPHA: lambda kappa, alpha: Wrongness(lr=kappa ** (1 / alpha - 0.5)),
}
FOR_SIGNS = (RIGHT, "linear lr", "unscaled")  # the rest changes what signSGD does not have


def known_rule(rule: str, betas: int, is_stable: bool) -> str:
    """The rule of that name, which fits an algorithm with so many betas; raises FieldError."""
    names = [name for name in RULES if (is_stable or name != ALPHA) and (betas or name in FOR_SIGNS)]
    if rule in RULES and rule not in names:
        lacks = "is for stable noise" if rule == ALPHA and betas else "changes nothing that signsgd has"
        raise FieldError("rule", rule, f"{lacks}: give one of {', '.join(names)}")
    return choice("rule", rule, names)
