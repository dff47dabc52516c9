"""Adam and AMSGrad, weight decay as L2 in the gradient in PyTorch; eps outside the root everywhere.

Keras adds its epsilon to sqrt(v) before the bias correction ("epsilon hat" of the Adam paper): eps_hat = eps sqrt(1 - beta2^t),
the same exponent under the rule. Keras multiplies any weight_decay by lr, outside the gradient. optax has eps_root besides,
inside the root.
"""

from ..kinds import DECAY, DECAY_TIMES_LR, L2_IN_GRADIENT, RATE, ROOT_MAGNITUDE, SQUARE_MAGNITUDE
from ._family import Family, Field

KINGMA = "Kingma & Ba 2015, Algorithm 1; scaling: Malladi et al. 2022, square-root scaling rule for Adam"
MOMENTS = "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "

_torch = {
    "lr": Field(RATE, 1e-3, "Learning rate"),
    "beta1": Field(DECAY, 0.9, "beta1"),
    "beta2": Field(DECAY, 0.999, "beta2"),
    "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon"),
    "weight_decay": Field(L2_IN_GRADIENT, 0.0, "Weight decay (L2)"),
}

FAMILIES = (
    Family(
        name="adam", label="Adam", algorithm="adam", call="torch.optim.Adam", source=KINGMA, fields=_torch,
        update=f"g += weight_decay * theta; {MOMENTS}theta -= lr * m_hat / (sqrt(v_hat) + eps)",
        moments=("beta1", "beta2"),
    ),
    Family(
        name="amsgrad", label="AMSGrad", algorithm="amsgrad", call="torch.optim.Adam", options={"amsgrad": True},
        source="Reddi et al. 2018 (arXiv 1904.09237); scaling: the same SDE while v hardly fluctuates",
        fields=_torch, treated=False,
        update=f"g += weight_decay * theta; {MOMENTS}v_max = max(v_max, v); theta -= lr * m_hat / (sqrt(v_max_hat) + eps)",
        notes=("AMSGrad divides by the largest v so far, and a larger batch lets v fluctuate more: with beta2 = 0.999 and "
               "kappa = 8 the scaled run moved 4% slower after 5,000 steps and 8% slower after 100,000 in our simulation, with "
               "beta2 = 0.99 20% slower after 10,000.",),
    ),
    Family(
        name="keras_adam", label="Adam (Keras)", algorithm="adam", library="keras", call="keras.optimizers.Adam", source=KINGMA,
        update=f"theta -= lr * weight_decay * theta; {MOMENTS}"
               "theta -= lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)",
        fields={**_torch, "eps": Field(ROOT_MAGNITUDE, 1e-7, "Epsilon (hat)"),
                "weight_decay": Field(DECAY_TIMES_LR, 0.0, "Weight decay (decoupled)")},
        arguments={"lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon"},
        moments=("beta1", "beta2"),
    ),
    Family(
        name="optax_adam", label="Adam (optax)", algorithm="adam", library="optax", call="optax.adam", source=KINGMA,
        update=f"{MOMENTS}theta -= lr * m_hat / (sqrt(v_hat + eps_root) + eps)",
        fields={"lr": _torch["lr"], "beta1": _torch["beta1"], "beta2": _torch["beta2"], "eps": _torch["eps"],
                "eps_root": Field(SQUARE_MAGNITUDE, 0.0, "Epsilon in the root")},
        arguments={"lr": "learning_rate", "beta1": "b1", "beta2": "b2"},
        moments=("beta1", "beta2"),
    ),
)
