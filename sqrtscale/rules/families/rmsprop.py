"""RMSprop: eps outside the root in PyTorch, inside it in Keras, timm and (unless told otherwise) optax.

Momentum has no factor (1 - mu) anywhere, and nobody corrects the bias of v. ``centered`` subtracts the squared mean of the
gradients from v, which is small where noise dominates.
"""

from dataclasses import replace

from ..kinds import DECAY, DECAY_TIMES_LR, L2_IN_GRADIENT, MOMENTUM, RATE, ROOT_MAGNITUDE, SQUARE_MAGNITUDE
from ._family import Family, Field

SCALING = "scaling: Malladi et al. 2022, square-root scaling rule for RMSprop"

_torch = Family(
    name="rmsprop", label="RMSprop", algorithm="rmsprop", call="torch.optim.RMSprop",
    update="g += weight_decay * theta; v = alpha v + (1 - alpha) g^2; b = momentum b + g / (sqrt(v) + eps); "
    "theta -= lr * b",
    source=f"Tieleman & Hinton 2012; {SCALING}",
    fields={
        "lr": Field(RATE, 1e-2, "Learning rate"),
        "alpha": Field(DECAY, 0.99, "alpha"),
        "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon"),
        "weight_decay": Field(L2_IN_GRADIENT, 0.0, "Weight decay (L2)"),
        "momentum": Field(MOMENTUM, 0.0, "Momentum"),
    },
    moments=("", "alpha"),
)
_inside = {**_torch.fields, "eps": Field(SQUARE_MAGNITUDE, 1e-7, "Epsilon (inside the root)")}
_keras = replace(
    _torch, name="keras_rmsprop", label="RMSprop (Keras)", library="keras", call="keras.optimizers.RMSprop",
    update="theta -= lr * weight_decay * theta; v = alpha v + (1 - alpha) g^2; b = momentum b + lr * g / sqrt(v + eps); "
    "theta -= b",
    fields={**_inside, "lr": Field(RATE, 1e-3, "Learning rate"), "alpha": Field(DECAY, 0.9, "rho"),
            "weight_decay": Field(DECAY_TIMES_LR, 0.0, "Weight decay (decoupled)")},
    arguments={"lr": "learning_rate", "alpha": "rho", "eps": "epsilon"},
)

FAMILIES = (
    _torch,
    replace(
        _torch, name="rmsprop_centered", label="RMSprop, centered", algorithm="rmsprop_centered", options={"centered": True},
        treated=False,
        update="g += weight_decay * theta; v = alpha v + (1 - alpha) g^2; a = alpha a + (1 - alpha) g; "
        "b = momentum b + g / (sqrt(v - a^2) + eps); theta -= lr * b",
        source=f"Graves 2013 (arXiv 1308.0850); {SCALING}, since a^2 is small against v where noise dominates",
        moments=None, noise_alone=True,
    ),
    _keras,
    replace(
        _keras, name="keras_rmsprop_centered", label="RMSprop, centered (Keras)", algorithm="rmsprop_centered",
        options={"centered": True}, moments=None, treated=False, noise_alone=True,
        update="theta -= lr * weight_decay * theta; v = alpha v + (1 - alpha) g^2; a = alpha a + (1 - alpha) g; "
        "b = momentum b + lr * g / sqrt(v - a^2 + eps); theta -= b",
    ),
    replace(
        _torch, name="optax_rmsprop", label="RMSprop (optax)", library="optax", call="optax.rmsprop",
        update="v = alpha v + (1 - alpha) g^2; b = momentum b + lr * g / sqrt(v + eps); theta -= b",
        fields={"lr": Field(RATE, 1e-3, "Learning rate"), "alpha": Field(DECAY, 0.9, "decay"),
                "eps": Field(SQUARE_MAGNITUDE, 1e-8, "Epsilon (inside the root)"), "momentum": _torch.fields["momentum"]},
        arguments={"lr": "learning_rate", "alpha": "decay"},
    ),
    replace(
        _torch, name="optax_rmsprop_outside", label="RMSprop (optax, eps outside)", library="optax", call="optax.rmsprop",
        options={"eps_in_sqrt": False},
        update="v = alpha v + (1 - alpha) g^2; b = momentum b + lr * g / (sqrt(v) + eps); theta -= b",
        fields={"lr": Field(RATE, 1e-3, "Learning rate"), "alpha": Field(DECAY, 0.9, "decay"),
                "eps": _torch.fields["eps"], "momentum": _torch.fields["momentum"]},
        arguments={"lr": "learning_rate", "alpha": "decay"},
    ),
    replace(
        _torch, name="timm_rmsproptf", label="RMSpropTF (timm)", library="timm", call="timm.optim.RMSpropTF",
        update="g += weight_decay * theta; v = alpha v + (1 - alpha) g^2 from v = 1; b = momentum b + lr * g / sqrt(v + eps); "
        "theta -= b",
        fields={**_inside, "alpha": Field(DECAY, 0.9, "alpha"),
                "eps": Field(SQUARE_MAGNITUDE, 1e-10, "Epsilon (inside the root)")},
        notes=("RMSpropTF starts from v = 1, not 0: its first steps are small until that is forgotten, at either batch.",),
    ),
)
