"""Adam as in torch.optim.Adam: eps outside the root, weight decay as L2 in the gradient."""

from ..kinds import DECAY, L2_IN_GRADIENT, RATE, ROOT_MAGNITUDE
from ._family import Family, Field

FAMILY = Family(
    name="adam",
    label="Adam",
    torch_class="Adam",
    update="g += weight_decay * theta; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "
    "theta -= lr * m_hat / (sqrt(v_hat) + eps)",
    source="Kingma & Ba 2015, Algorithm 1; scaling: Malladi et al. 2022, square-root scaling rule for Adam",
    fields={
        "lr": Field(RATE, 1e-3, "Learning rate"),
        "beta1": Field(DECAY, 0.9, "beta1"),
        "beta2": Field(DECAY, 0.999, "beta2"),
        "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon"),
        "weight_decay": Field(L2_IN_GRADIENT, 0.0, "Weight decay (L2)"),
    },
)
