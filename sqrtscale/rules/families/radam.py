"""RAdam as in torch.optim.RAdam: Adam whose step is rectified while v knows few gradients."""

from ..kinds import DECAY, L2_IN_GRADIENT, RATE, ROOT_MAGNITUDE
from ._family import Family, Field

FAMILIES = (
    Family(
        name="radam", label="RAdam", algorithm="radam", call="torch.optim.RAdam",
        update="g += weight_decay * theta; m, v as in Adam; theta -= lr * m_hat * r_t * sqrt(1 - beta2^t) / (sqrt(v) + eps), "
        "with r_t rising to 1 (and theta -= lr * m_hat for the first few steps)",
        source="Liu et al. 2020 (arXiv 1908.03265); scaling: the SDE of Adam once r_t is near 1",
        fields={
            "lr": Field(RATE, 1e-3, "Learning rate"),
            "beta1": Field(DECAY, 0.9, "beta1"),
            "beta2": Field(DECAY, 0.999, "beta2"),
            "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon (hat)"),
            "weight_decay": Field(L2_IN_GRADIENT, 0.0, "Weight decay (L2)"),
        },
        treated=False,
        moments=("beta1", "beta2"),
        notes=("RAdam's first steps are plain momentum steps, which no square root scales: the rule holds once its "
               "rectification is over.",),
    ),
)
