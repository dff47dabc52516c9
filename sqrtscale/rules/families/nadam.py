"""NAdam as in torch.optim.NAdam: Adam with Nesterov's look-ahead and a beta1 that warms up."""

from ..kinds import DECAY, L2_IN_GRADIENT, RATE, RATE_OF_STEPS, ROOT_MAGNITUDE
from ._family import Family, Field

FAMILIES = (
    Family(
        name="nadam", label="NAdam", algorithm="nadam", call="torch.optim.NAdam",
        update="g += weight_decay * theta; mu_t = beta1 (1 - 0.96^(t * momentum_decay) / 2); m, v as in Adam; "
        "theta -= lr * (mu_{t+1} m / (1 - prod mu_{i<=t+1}) + (1 - mu_t) g / (1 - prod mu_{i<=t})) / (sqrt(v_hat) + eps)",
        source="Dozat 2016; scaling: the SDE of Adam, since the weights of the gradients still add up to one",
        fields={
            "lr": Field(RATE, 2e-3, "Learning rate"),
            "beta1": Field(DECAY, 0.9, "beta1"),
            "beta2": Field(DECAY, 0.999, "beta2"),
            "eps": Field(ROOT_MAGNITUDE, 1e-8, "Epsilon"),
            "weight_decay": Field(L2_IN_GRADIENT, 0.0, "Weight decay (L2)"),
            "momentum_decay": Field(RATE_OF_STEPS, 4e-3, "Momentum decay"),
        },
        treated=False, look_ahead=True,
        notes=("While NAdam's beta1 still warms up (some 10,000 steps with momentum_decay = 0.004) it is not close to 1, and "
               "the rule is an approximation there.",),
    ),
)
