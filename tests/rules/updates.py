"""One step of every optimizer, written once more in NumPy from each library's own source: STEPS[name](x, g, state, h, k).

x: weights; g: gradient; state: what the optimizer remembers, a dict that starts empty and is changed in place; h: the
hyperparameters under our names; k: the number of the step, from 1, for the bias correction. Gives the new weights.
They know nothing of the package. tests/rules/test_libraries.py holds each against its library.
"""

import numpy as np


def average(state, name, rate, value):
    """state[name] = rate * state[name] + (1 - rate) * value, from 0."""
    state[name] = rate * state.get(name, 0.0) + (1 - rate) * value
    return state[name]


def debiased(state, g, h, k):
    """m_hat and v_hat of Adam."""
    m, v = average(state, "m", h["beta1"], g), average(state, "v", h["beta2"], g * g)
    return m / (1 - h["beta1"] ** k), v / (1 - h["beta2"] ** k)


def adam(x, g, state, h, k):
    """Kingma & Ba, Algorithm 1, with L2 in the gradient."""
    m, v = debiased(state, g + h["weight_decay"] * x, h, k)
    return x - h["lr"] * m / (np.sqrt(v) + h["eps"])


def amsgrad(x, g, state, h, k):
    """The largest v so far is corrected by this step's factor, as in torch."""
    m, v = debiased(state, g + h["weight_decay"] * x, h, k)
    state["v_max"] = np.maximum(state.get("v_max", 0.0), state["v"])
    v = state["v_max"] / (1 - h["beta2"] ** k)
    return x - h["lr"] * m / (np.sqrt(v) + h["eps"])


def adamw(x, g, state, h, k):
    """Loshchilov & Hutter, Algorithm 2, decay before the step as in torch."""
    x = x * (1 - h["lr"] * h["weight_decay"])
    m, v = debiased(state, g, h, k)
    return x - h["lr"] * m / (np.sqrt(v) + h["eps"])


def composer_adamw(x, g, state, h, k):
    """The decay follows lr / initial_lr, so without a schedule it does not know lr."""
    x = x * (1 - h["lr"] / h.get("initial_lr", h["lr"]) * h["weight_decay"])
    m, v = debiased(state, g, h, k)
    return x - h["lr"] * m / (np.sqrt(v) + h["eps"])


def keras_adam(x, g, state, h, k):
    """eps is added to the uncorrected sqrt(v); any decay stands outside the gradient, before the step."""
    x = x - h["lr"] * h["weight_decay"] * x
    m, v = average(state, "m", h["beta1"], g), average(state, "v", h["beta2"], g * g)
    return x - h["lr"] * np.sqrt(1 - h["beta2"] ** k) / (1 - h["beta1"] ** k) * m / (np.sqrt(v) + h["eps"])


def optax_adam(x, g, state, h, k):
    """A second eps inside the root; adamw decays the weights as they were before the step."""
    m, v = debiased(state, g, h, k)
    return x - h["lr"] * (m / (np.sqrt(v + h["eps_root"]) + h["eps"]) + h.get("weight_decay", 0.0) * x)


def nadam(x, g, state, h, k):
    """Dozat's Nesterov momentum with torch's mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)."""
    def mu(t):
        return h["beta1"] * (1 - 0.96 ** (t * h["momentum_decay"]) / 2)

    g = g + h["weight_decay"] * x
    _, v = debiased(state, g, h, k)
    state["mu_product"] = state.get("mu_product", 1.0) * mu(k)
    ahead = mu(k + 1) * state["m"] / (1 - state["mu_product"] * mu(k + 1)) + (1 - mu(k)) * g / (1 - state["mu_product"])
    return x - h["lr"] * ahead / (np.sqrt(v) + h["eps"])


def radam(x, g, state, h, k):
    """Liu et al., with torch's bound 5 on rho_t, and eps added to the uncorrected sqrt(v)."""
    m, _ = debiased(state, g + h["weight_decay"] * x, h, k)
    end, correction = 2 / (1 - h["beta2"]) - 1, 1 - h["beta2"] ** k
    rho = end - 2 * k * h["beta2"] ** k / correction
    if rho <= 5:
        return x - h["lr"] * m
    rectified = np.sqrt((rho - 4) * (rho - 2) * end / ((end - 4) * (end - 2) * rho))
    return x - h["lr"] * m * rectified * np.sqrt(correction) / (np.sqrt(state["v"]) + h["eps"])


def rmsprop(x, g, state, h, k, centered=False):
    """torch: eps outside the root, lr outside the buffer, which has no factor 1 - momentum."""
    g = g + h["weight_decay"] * x
    v = average(state, "v", h["alpha"], g * g)
    if centered:
        v = v - average(state, "a", h["alpha"], g) ** 2
    state["b"] = h["momentum"] * state.get("b", 0.0) + g / (np.sqrt(v) + h["eps"])
    return x - h["lr"] * state["b"]


def inside(x, g, state, h, centered=False):
    """RMSprop as Keras, optax and timm share it: eps inside the root, lr inside the buffer."""
    v = average(state, "v", h["alpha"], g * g)
    if centered:
        v = v - average(state, "a", h["alpha"], g) ** 2
    state["b"] = h["momentum"] * state.get("b", 0.0) + h["lr"] * g / np.sqrt(v + h["eps"])
    return x - state["b"]


def keras_rmsprop(x, g, state, h, k, centered=False):
    """Decay outside the gradient, before the step."""
    return inside(x - h["lr"] * h["weight_decay"] * x, g, state, h, centered)


def optax_rmsprop(x, g, state, h, k):
    """As optax.rmsprop has it by default (eps_in_sqrt, no bias correction); it has no decay."""
    return inside(x, g, state, h)


def optax_rmsprop_outside(x, g, state, h, k):
    """With eps_in_sqrt=False: torch's denominator, but lr inside the buffer."""
    v = average(state, "v", h["alpha"], g * g)
    state["b"] = h["momentum"] * state.get("b", 0.0) + h["lr"] * g / (np.sqrt(v) + h["eps"])
    return x - state["b"]


def timm_rmsproptf(x, g, state, h, k):
    """L2 in the gradient, and v from 1."""
    state.setdefault("v", np.ones_like(x))
    return inside(x, g + h["weight_decay"] * x, state, h)


def sgd(x, g, state, h, k):
    """torch: the buffer has no factor 1 - momentum."""
    state["b"] = h["momentum"] * state.get("b", 0.0) + g + h["weight_decay"] * x
    return x - h["lr"] * state["b"]


STEPS = {
    "adam": adam,
    "amsgrad": amsgrad,
    "keras_adam": keras_adam,
    "optax_adam": optax_adam,
    "adamw": adamw,
    "keras_adamw": keras_adam,
    "optax_adamw": optax_adam,
    "composer_adamw": composer_adamw,
    "nadam": nadam,
    "radam": radam,
    "rmsprop": rmsprop,
    "rmsprop_centered": lambda *now: rmsprop(*now, centered=True),
    "keras_rmsprop": keras_rmsprop,
    "keras_rmsprop_centered": lambda *now: keras_rmsprop(*now, centered=True),
    "optax_rmsprop": optax_rmsprop,
    "optax_rmsprop_outside": optax_rmsprop_outside,
    "timm_rmsproptf": timm_rmsproptf,
    "sgd": sgd,
}
