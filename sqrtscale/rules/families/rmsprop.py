"""RMSprop as in torch.optim.RMSprop: eps outside the root, no bias correction, momentum without (1 - mu)."""

from ..kinds import DECAY, L2_IN_GRADIENT, MOMENTUM, RATE, ROOT_MAGNITUDE
from ._family import Family, Field

FAMILY = Family(
    name="rmsprop",
    label="RMSprop",
    torch_class="RMSprop",
    update="g += weight_decay * theta; v = alpha v + (1 - alpha) g^2; b = momentum b + g / (sqrt(v) + eps); "
    "theta -= lr * b",
    source="Tieleman & Hinton 2012; scaling: Malladi et al. 2022, square-root scaling rule for RMSprop",
    fields={
        "lr": Field(RATE, 1e-2, "Learning rate"),
        "alpha": Field(DECAY, 0.99, "alpha"),
        "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon"),
        "weight_decay": Field(L2_IN_GRADIENT, 0.0, "Weight decay (L2)"),
        "momentum": Field(MOMENTUM, 0.0, "Momentum"),
    },
)
