"""How well does a moved, kept or zeroed optimizer state continue a run when its batch changes in the middle?

    python benchmarks/state_transfer.py [--chains 20000]

Chains x of one coordinate with gradient d + z / sqrt(B), z standard normal and d small, so that noise dominates. The base
run has forgotten its start; at the switch its state (m, v, step) is handed to the scaled configuration in several ways, and
both go on over the same samples. Printed for the first steps at the new batch, as Markdown: distance travelled and spread
of x since the switch, each over the base run's own at equal samples. 1 is a perfect continuation. Towards a smaller batch each
look is at the nearest whole step of the base run (8, 32, 96, 304 steps at kappa = 1/8).
"""

from __future__ import annotations

import argparse
from fractions import Fraction

import numpy as np

from sqrtscale.rules import TrainingConfig, scale

DRIFT = 0.05  # the gradient's mean, in units of the base batch's noise
LOOKS = (10, 30, 100, 300)  # steps after the switch, at the new batch
LONG_AGO = 10**7  # a step count at which bias correction is over
UNIT = 48  # as batch size of the base: all kappas below are then whole batches


class Adam:
    """torch.optim.Adam for many chains; state: m, v, and the number of steps k."""

    def __init__(self, values, m, v, k=LONG_AGO):
        self.h, self.m, self.v, self.k = values, m.copy(), v.copy(), k

    def step(self, g):
        """The movement of one step."""
        h, self.k = self.h, self.k + 1
        self.m += (1 - h["beta1"]) * (g - self.m)
        self.v += (1 - h["beta2"]) * (g * g - self.v)
        m, v = self.m / (1 - h["beta1"] ** self.k), self.v / (1 - h["beta2"] ** self.k)
        return -h["lr"] * m / (np.sqrt(v) + h["eps"])


class RMSprop:
    """torch.optim.RMSprop with momentum: the buffer b has no factor 1 - momentum."""

    def __init__(self, values, b, v):
        self.h, self.b, self.v = values, b.copy(), v.copy()

    def step(self, g):
        """The movement of one step."""
        self.v += (1 - self.h["alpha"]) * (g * g - self.v)
        self.b = self.h["momentum"] * self.b + g / (np.sqrt(self.v) + self.h["eps"])
        return -self.h["lr"] * self.b


class SGD:
    """torch.optim.SGD with momentum."""

    def __init__(self, values, b, v=None):
        self.h, self.b, self.v = values, b.copy(), None

    def step(self, g):
        """The movement of one step."""
        self.b = self.h["momentum"] * self.b + g
        return -self.h["lr"] * self.b


def mirrored(random, chains):
    """Standard normals [chains], the second half minus the first: the noise's odd part drops out of every mean."""
    half = random.standard_normal(chains // 2)
    return np.concatenate([half, -half])


def continued(base, arms, kappa, seed, chains):
    """Distance travelled and spread of every arm over the base's own, [2, len(LOOKS)] by name.

    All see the same samples: the larger batch's noise is the mean of the smaller batches' noises that it covers.
    """
    random = np.random.default_rng(seed)
    up, down = max(1, round(kappa)), max(1, round(1 / kappa))  # base steps a look's unit covers, and arm steps
    where = {name: np.zeros(chains) for name in ("base", *arms)}
    found = {name: [] for name in arms}
    looks = {max(1, round(look / down)) for look in LOOKS}
    for unit in range(1, max(looks) + 1):
        noise = [mirrored(random, chains) * np.sqrt(max(1, 1 / kappa)) for _ in range(up * down)]
        mean = sum(noise) / len(noise)
        for one in noise if up > 1 else [mean]:
            where["base"] += base.step(DRIFT + one)
        for name, arm in arms.items():
            for one in noise if down > 1 else [mean]:
                where[name] += arm.step(DRIFT + one)
        if unit in looks:
            for name in arms:
                found[name].append((where[name].mean() / where["base"].mean(), where[name].std() / where["base"].std()))
    return {name: np.array(pairs).T for name, pairs in found.items()}


def settled(make, chains, steps, seed=1):
    """A base optimizer that has run for ``steps`` steps at noise 1."""
    random = np.random.default_rng(seed)
    optimizer = make(np.zeros(chains), np.ones(chains))
    for _ in range(steps):
        optimizer.step(DRIFT + mirrored(random, chains))
    return optimizer


def scaled(name, values, kappa, **forms):
    """Base and scaled hyperparameters."""
    config = TrainingConfig(name, UNIT, values)
    return dict(config.hyperparameters), dict(scale(config, int(UNIT * Fraction(kappa)), **forms).config.hyperparameters)


def adam(beta2, kappa, chains, state, young=None):
    """The ways to hand Adam's state over; ``young``: steps since a start from zero, else the start is forgotten."""
    # beta1 = 0.9 has no linear form at kappa = 16.
    base, target = scaled("adam", {"lr": 0.01, "beta1": 0.9, "beta2": beta2}, kappa, decay_form="half-life")
    m, v, k = state.m, state.v, state.k
    zero = np.zeros(chains)
    arms = {"moved": Adam(target, m, v / kappa, k / kappa)}
    if young:
        arms |= {"v / kappa, step kept": Adam(target, m, v / kappa, k), "kept": Adam(target, m, v, k)}
    else:
        arms |= {"kept": Adam(target, m, v, k), "v / kappa, m zeroed": Adam(target, zero, v / kappa, k)}
    arms |= {"zeroed, step 0": Adam(target, zero, zero, 0), "zeroed, step kept": Adam(target, zero, zero, k)}
    return continued(Adam(base, m, v, k), arms, kappa, 2, chains)


def buffers(name, kind, values, kappa, form, chains):
    """The ways to hand a momentum buffer over; v is moved in every one."""
    base, target = scaled(name, values, kappa, momentum_form=form)
    state = settled(lambda b, v: kind(base, b, v), chains, 3000)
    v = None if state.v is None else state.v / kappa
    v0 = np.zeros(chains) if v is None else v
    # b is 1 / (1 - mu) times an average gradient, over sqrt(v) in RMSprop; lr / (1 - mu) b is the distance it still owes.
    average = (1 - base["momentum"]) / (1 - target["momentum"]) * (1 if name == "sgd" else np.sqrt(kappa))
    owed = base["lr"] / target["lr"] * (1 - target["momentum"]) / (1 - base["momentum"])
    ways = {"average gradient kept": average, "distance owed kept": owed, "as it is": 1, "zeroed": 0}
    arms = {way: kind(target, factor * state.b, v0) for way, factor in ways.items()}
    return continued(kind(base, state.b, v0 if v is None else state.v), arms, kappa, 3, chains)


def row(*cells, found=None):
    """A line of a table: the cells, then distance and spread at every look."""
    numbers = [] if found is None else [f"{distance:.2f}, {spread:.2f}" for distance, spread in found.T]
    print("| " + " | ".join([*map(str, cells), *numbers]) + " |", flush=True)


def head(*cells):
    """The head of a table."""
    row(*cells, *(f"{look} steps" for look in LOOKS))
    row(*["---"] * (len(cells) + len(LOOKS)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--chains", type=int, default=20_000)
    chains = options.parse_args().chains
    kappas = [4, 8, 16, Fraction(1, 4), Fraction(1, 8), Fraction(1, 16)]
    print("### Adam, base beta1 = 0.9, start forgotten (distance, spread; over the base run's)\n")
    head("beta2", "kappa", "state")
    for beta2 in (0.99, 0.999, 0.9999):
        values, _ = scaled("adam", {"lr": 0.01, "beta2": beta2}, 1)
        state = settled(lambda m, v, h=values: Adam(h, m, v), chains, round(3 / (1 - beta2)))
        for kappa in kappas:
            for name, found in adam(beta2, float(kappa), chains, state).items():
                row(beta2, kappa, name, found=found)
    print("\n### Adam, switched 64 steps after a start from zero\n")
    head("beta2", "kappa", "state")
    for beta2 in (0.99, 0.999, 0.9999):
        values, _ = scaled("adam", {"lr": 0.01, "beta2": beta2}, 1)
        state = settled(lambda m, v, h=values: Adam(h, m, 0 * v, 0), chains, 64)
        for kappa in (8, Fraction(1, 8)):
            for name, found in adam(beta2, float(kappa), chains, state, young=64).items():
                row(beta2, kappa, name, found=found)
    print("\n### Momentum buffers without a factor (1 - mu), mu = 0.9, start forgotten\n")
    head("optimizer", "momentum form", "kappa", "buffer")
    for label, kind, name, values in (("RMSprop", RMSprop, "rmsprop", {"lr": 0.001, "alpha": 0.999, "momentum": 0.9}),
                                      ("SGD", SGD, "sgd", {"lr": 0.001, "momentum": 0.9})):
        for form in ("kept", "scaled"):
            for kappa in (4, 8, Fraction(1, 8)):
                for arm, found in buffers(name, kind, values, float(kappa), form, chains).items():
                    row(label, form, kappa, arm, found=found)


if __name__ == "__main__":
    main()
