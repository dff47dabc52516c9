"""AdamW: weight decay outside the gradient, times lr (PyTorch, Keras, optax) or by itself (Composer)."""

from dataclasses import replace

from ..kinds import DECAY, DECAY_TIMES_LR, DECAY_WITHOUT_LR, RATE, ROOT_MAGNITUDE, SQUARE_MAGNITUDE
from ._family import Family, Field

MOMENTS = "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "

_torch = Family(
    name="adamw", label="AdamW", algorithm="adamw", call="torch.optim.AdamW",
    update=f"theta *= 1 - lr * weight_decay; {MOMENTS}theta -= lr * m_hat / (sqrt(v_hat) + eps)",
    source="Loshchilov & Hutter 2019, Algorithm 2; scaling: Malladi et al. 2022, square-root scaling rule for Adam",
    fields={
        "lr": Field(RATE, 1e-3, "Learning rate"),
        "beta1": Field(DECAY, 0.9, "beta1"),
        "beta2": Field(DECAY, 0.999, "beta2"),
        "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon"),
        "weight_decay": Field(DECAY_TIMES_LR, 1e-2, "Weight decay (decoupled)"),
    },
    moments=("beta1", "beta2"),
)

FAMILIES = (
    _torch,
    replace(
        _torch, name="keras_adamw", label="AdamW (Keras)", library="keras", call="keras.optimizers.AdamW",
        update=f"theta -= lr * weight_decay * theta; {MOMENTS}"
               "theta -= lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)",
        fields={**_torch.fields, "eps": Field(ROOT_MAGNITUDE, 1e-7, "Epsilon (hat)"),
                "weight_decay": Field(DECAY_TIMES_LR, 4e-3, "Weight decay (decoupled)")},
        arguments={"lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon"},
    ),
    replace(
        _torch, name="optax_adamw", label="AdamW (optax)", library="optax", call="optax.adamw",
        update=f"{MOMENTS}theta -= lr * (m_hat / (sqrt(v_hat + eps_root) + eps) + weight_decay * theta)",
        fields={**{name: _torch.fields[name] for name in ("lr", "beta1", "beta2", "eps")},
                "eps_root": Field(SQUARE_MAGNITUDE, 0.0, "Epsilon in the root"),
                "weight_decay": Field(DECAY_TIMES_LR, 1e-4, "Weight decay (decoupled)")},
        arguments={"lr": "learning_rate", "beta1": "b1", "beta2": "b2"},
    ),
    replace(
        _torch, name="composer_adamw", label="DecoupledAdamW (Composer)", library="composer",
        call="composer.optim.DecoupledAdamW",
        update=f"theta *= 1 - (lr / initial_lr) * weight_decay; {MOMENTS}theta -= lr * m_hat / (sqrt(v_hat) + eps)",
        fields={**_torch.fields, "beta2": Field(DECAY, 0.95, "beta2"),
                "weight_decay": Field(DECAY_WITHOUT_LR, 1e-5, "Weight decay (without lr)")},
    ),
)
