"""AMSGrad with decoupled weight decay, as in torch.optim.AdamW(amsgrad=True)."""

from ..kinds import DECAY, DECAY_TIMES_LR, RATE, ROOT_MAGNITUDE
from ._family import Family, Field

FAMILIES = (
    Family(
        name="amsgradw", label="AMSGrad, decoupled", algorithm="amsgradw", call="torch.optim.AdamW", options={"amsgrad": True},
        update="theta *= 1 - lr * weight_decay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "
        "v_max = max(v_max, v); theta -= lr * m_hat / (sqrt(v_max_hat) + eps)",
        source="Reddi et al. 2018 (arXiv 1904.09237), Loshchilov & Hutter 2019; scaling: that of AMSGrad and AdamW",
        fields={
            "lr": Field(RATE, 1e-3, "Learning rate"),
            "beta1": Field(DECAY, 0.9, "beta1"),
            "beta2": Field(DECAY, 0.999, "beta2"),
            "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon"),
            "weight_decay": Field(DECAY_TIMES_LR, 1e-2, "Weight decay (decoupled)"),
        },
        treated=False,
    ),
)
