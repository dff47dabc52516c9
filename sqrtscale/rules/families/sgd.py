"""SGD as in torch.optim.SGD, under its own rule, the linear one: it is not Adam's, and stands here for comparison."""

from ..kinds import L2_IN_GRADIENT, MOMENTUM, SGD_RATE
from ._family import Family, Field

FAMILIES = (
    Family(
        name="sgd", label="SGD (linear rule)", algorithm="sgd", call="torch.optim.SGD",
        update="g += weight_decay * theta; b = momentum b + g; theta -= lr * b",
        source="Robbins & Monro 1951; scaling: Li, Tai, E 2019; Goyal et al. 2017; named by Malladi et al. 2022 as SGD's rule",
        fields={
            "lr": Field(SGD_RATE, 1e-3, "Learning rate"),
            "momentum": Field(MOMENTUM, 0.0, "Momentum"),
            "weight_decay": Field(L2_IN_GRADIENT, 0.0, "Weight decay (L2)"),
        },
        notes=("SGD follows the linear rule (lr' = kappa * lr where the loss is averaged), not the square root.",),
    ),
)
