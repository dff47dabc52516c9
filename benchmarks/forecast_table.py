"""The numbers behind ``sqrtscale/rules/forecast.py``: D and S by quadrature, on Chebyshev points of both betas.

    python benchmarks/forecast_table.py [--rows 40] [--columns 24] [--check 1000]

Writes ``sqrtscale/rules/forecast_table.json``, then prints how far the package's interpolation is from the quadrature at betas
drawn at random. Takes about a minute on one core; there is no randomness in the table.

Method. With a_i = (1 - beta1) beta1^i, b_i = (1 - beta2) beta2^i, v^(-1/2) = pi^(-1/2) Int_0^inf s^(-1/2) e^(-s v) ds and

    P(s) = E[e^(-s v)] = prod_i (1 + 2 s b_i)^(-1/2),    E[z_i^2 e^(-s v)] = P(s) / (1 + 2 s b_i):

    D = pi^(-1/2) Int s^(-1/2) W(s) P(s) ds,   W(s) = sum_i a_i / (1 + 2 s b_i).

For S, v_L holds beta2^L v_0 and L new squares, so with Q(s) = sum_i a_i^2 / (1 + 2 s b_i) and A = Q P

    E[m_0^2 / sqrt(v_0 v_L)] = 1/pi Int t^(-1/2) B(beta2^L t) P(t) / P(beta2^L t) dt,   B(x) = Int s^(-1/2) A(s + x) ds,

one integral per lag. S sums these over all lags with weight beta1^|L|; they change smoothly with L, so a few dozen lags suffice.
All integrals are trapezoidal sums in log s, which converge exponentially.
"""

from __future__ import annotations

import argparse
import json
import math
import time

import numpy as np
from scipy.interpolate import CubicSpline

from sqrtscale.rules.forecast import TABLE, diffusion, drift

BETA1 = (0.0, 0.999)
BETA2 = (1e-6, 1 - 1e-6)
STEP = 0.125  # of the trapezoidal rule in log s
LOWEST = -64.0  # log s at which s^(1/2) is negligible
NEGLIGIBLE = -80.0  # log P(s) beyond which the integrands are
TERMS = 40  # of the power series, whose ratio is at most 1/2
FIRST_LAGS, LATER_LAGS = 16, 48  # all of the first, then in geometric progression
LAST_LAG = 36  # where beta1^L is e^-36
DIGITS = 7


def transforms(s, beta1, beta2):
    """log P, W and Q at the points s.

    Each obeys P(s) = (1 + 2 s b_0)^(-1/2) P(beta2 s), and likewise for W and Q: factors are taken out until the power series in
    2 s (1 - beta2) converges. So beta2 = 0.999999 costs no more than 0.9.
    """
    a = 2 * s * (1 - beta2)
    taken = max(0, math.ceil(math.log(2 * a.max()) / -math.log(beta2)))
    i = np.arange(taken)[:, None]
    weight, factor = (1 - beta1) * beta1**i, 1 + a * beta2**i
    log_p, w, q = -np.log(factor).sum(0) / 2, (weight / factor).sum(0), (weight**2 / factor).sum(0)
    k, rest, left = np.arange(TERMS)[:, None], (1 - beta1) * beta1**taken, (-a * beta2**taken) ** np.arange(TERMS)[:, None]
    log_p += (left[1:] / k[1:] / -np.expm1(k[1:] * math.log(beta2))).sum(0) / 2
    w += rest * (left / (1 - beta1 * beta2**k)).sum(0)
    q += rest**2 * (left / (1 - beta1**2 * beta2**k)).sum(0)
    return log_p, w, q


def highest(beta2):
    """log s beyond which P(s) is negligible."""
    return next(x for x in np.arange(1, 1000, 0.5) if transforms(np.exp([x]), 0.0, beta2)[0][0] < NEGLIGIBLE)


def exact(beta1, beta2):
    """D and S."""
    top = next(x for x in np.arange(1, 1000, 0.5) if transforms(np.exp([x]), 0.0, beta2)[0][0] < NEGLIGIBLE)
    x = np.arange(LOWEST, top, STEP)
    log_p, w, q = transforms(np.exp(x), beta1, beta2)
    d = STEP / math.sqrt(math.pi) * np.exp(x / 2 + log_p) @ w
    if beta1 == 0:  # only lag 0 counts, and 1 / v = Int e^(-s v) ds
        return d, STEP * np.exp(x + log_p) @ q

    log_a = CubicSpline(x, log_p + np.log(q))
    both = np.logaddexp(x[:, None], x)  # log(s + t)
    b = STEP * np.where(both < x[-1], np.exp(x[:, None] / 2 + log_a(np.minimum(both, x[-1]))), 0).sum(0)
    past = CubicSpline(x[:-1], np.log(b[:-1]) - log_p[:-1])  # log of B(x) / P(x), flat below LOWEST

    last = math.ceil(LAST_LAG / -math.log(beta1))
    first = min(FIRST_LAGS, last)
    lags = np.unique([*range(first), *np.geomspace(first, last, LATER_LAGS).round().astype(int)])
    shifted = np.clip(x + lags[:, None] * math.log(beta2), x[0], x[-2])
    terms = STEP / math.pi * np.exp(x / 2 + log_p + past(shifted)).sum(1)
    every = np.arange(last + 1)
    series = beta1**every * np.exp(CubicSpline(np.log1p(lags), np.log(terms))(np.log1p(every)))
    return d, 2 * series.sum() - series[0]


def chebyshev(lowest, highest, count):
    """Chebyshev points of the second kind, both ends included."""
    return (lowest + highest) / 2 - (highest - lowest) / 2 * np.cos(np.pi * np.arange(count) / (count - 1))


def points(columns, rows):
    """beta1 and beta2 at given values of log(1 - beta1) and logit(beta2)."""
    return np.abs(np.expm1(columns)), 1 / (1 + np.exp(-rows))


def table(columns, rows):
    """The content of the package's file: D and S, one row for each beta2, one column for each beta1."""
    ends1, ends2 = np.log1p(-np.array(BETA1)), np.log(np.array(BETA2) / (1 - np.array(BETA2)))
    beta1, beta2 = points(chebyshev(*ends1[::-1], columns)[::-1], chebyshev(*ends2, rows))
    found = np.array([[exact(one, two) for one in beta1] for two in beta2])
    return {
        "about": "drift D and diffusion S, see forecast.py; by benchmarks/forecast_table.py",
        "beta1": beta1.tolist(),
        "beta2": beta2.tolist(),
        "drift": found[..., 0].round(DIGITS).tolist(),
        "diffusion": found[..., 1].round(DIGITS).tolist(),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=40, help="values of beta2")
    options.add_argument("--columns", type=int, default=24, help="values of beta1")
    options.add_argument("--check", type=int, default=1000, help="random betas at which the interpolation is checked")
    chosen = options.parse_args()
    began = time.perf_counter()
    found = table(chosen.columns, chosen.rows)
    lines = (f'"{key}": {json.dumps(value)}' for key, value in found.items())
    TABLE.write_text("{\n" + ",\n".join(lines).replace("], [", "],\n[") + "\n}\n")
    print(f"{chosen.rows} x {chosen.columns} values each in {time.perf_counter() - began:.0f} s")
    if chosen.check:
        check(chosen.check)


def check(count: int) -> None:
    """Print the largest relative error of the package's D and S at random betas."""
    random = np.random.default_rng(0)
    ends = np.log1p(-BETA1[1]), math.log(BETA2[1] / (1 - BETA2[1]))
    columns = ends[0] * random.uniform(size=count) ** 3  # crowded near beta1 = 0, where S bends most
    betas = list(zip(*points(columns, random.uniform(-ends[1], ends[1], count)), strict=True))
    errors = np.array([np.array([drift(*at), diffusion(*at)]) / exact(*at) - 1 for at in betas])
    for name, which in (("beta1 <= beta2", [a <= b for a, b in betas]), ("all", [True] * count)):
        largest = np.abs(errors[which]).max(0)
        print(f"{name}: {sum(which)} pairs, largest error of D {largest[0]:.1e}, of S {largest[1]:.1e}")


if __name__ == "__main__":
    main()
