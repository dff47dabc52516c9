"""AdamW as in torch.optim.AdamW: weight decay decoupled from the gradient and multiplied by lr."""

from ..kinds import DECAY, DECAY_TIMES_LR, RATE, ROOT_MAGNITUDE
from ._family import Family, Field

FAMILY = Family(
    name="adamw",
    label="AdamW",
    torch_class="AdamW",
    update="theta *= 1 - lr * weight_decay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "
    "theta -= lr * m_hat / (sqrt(v_hat) + eps)",
    source="Loshchilov & Hutter 2019, Algorithm 2; scaling: Malladi et al. 2022, square-root scaling rule for Adam",
    fields={
        "lr": Field(RATE, 1e-3, "Learning rate"),
        "beta1": Field(DECAY, 0.9, "beta1"),
        "beta2": Field(DECAY, 0.999, "beta2"),
        "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon"),
        "weight_decay": Field(DECAY_TIMES_LR, 1e-2, "Weight decay (decoupled)"),
    },
)
