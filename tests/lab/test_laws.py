"""The noise laws on the Brownian path: mean 0, variance 1, their own distribution, and stable jumps."""

import numpy as np
import pytest
from scipy import stats

from sqrtscale.lab.laws import NAMES, noise
from sqrtscale.lab.paths import draw_increments, quantiles, shape, stable

FINITE = [name for name in NAMES if name != "stable"]


@pytest.mark.parametrize("text", [*FINITE, "student:2.5", "student:8"])
def test_tables_are_standardised_under_the_normal_law(text):
    """By Gauss and Hermite's quadrature within the cells, which the tables were not made with."""
    table = quantiles(noise(text))
    w = np.linspace(-8, 8, len(table))
    nodes, weights = np.polynomial.legendre.leggauss(5)
    points = (w[:-1, None] + w[1:, None]) / 2 + (w[1] - w[0]) / 2 * nodes
    density = stats.norm.pdf(points) * weights * (w[1] - w[0]) / 2
    values = np.interp(points, w, table)
    assert (values * density).sum() == pytest.approx(0, abs=1e-6)
    assert (values**2 * density).sum() == pytest.approx(1, abs=2e-3 if "student" in text else 1e-5)


@pytest.mark.parametrize("text", [name for name in FINITE if name != "gauss"])
def test_shaped_increments_have_the_law_whatever_the_step(text):
    law, h = noise(text), 1 / 64
    increments = np.sqrt(h) * np.random.default_rng(0).standard_normal((1, 20_000))
    z = shape(law)(increments, h)[0] / np.sqrt(h)
    assert stats.kstest(z, law.distribution().cdf).pvalue > 0.001
    assert stats.kstest(z, "norm").pvalue < 1e-6
    order = np.argsort(increments[0])
    assert (np.diff(z[order]) >= 0).all()


def test_normal_noise_is_the_path_itself():
    increments = np.random.default_rng(0).standard_normal((1, 10))
    assert shape(noise("gauss"))(increments, 0.1) is increments


def test_stable_numbers_have_their_law_and_add_up_by_their_own_scaling():
    random = np.random.default_rng(0)
    z = stable(random, 1.5, (4_000,))
    assert stats.kstest(z, lambda x: stats.levy_stable(1.5, 0).cdf(x)).pvalue > 0.001
    draw = draw_increments(random, noise("stable:1.5"), 1 / 64)
    together = sum(draw((1, 20_000)) for _ in range(64))[0]
    quartiles = np.quantile(together, [0.25, 0.75])
    assert quartiles == pytest.approx(stats.levy_stable(1.5, 0).ppf([0.25, 0.75]), abs=0.05)


def test_a_parameter_keeps_all_its_digits():
    assert str(noise("student:3.0")) == "student:3"
    for text in ("student:2.0000001", "student:3.123456789"):
        assert str(noise(text)) == text and noise(str(noise(text))) == noise(text)


@pytest.mark.parametrize("text, slope", [("gauss", 1), ("laplace", 1), ("student:8", 1), ("student:3", 0.5),
                                         ("student:2.5", 0.25), ("skewed", 0.5), ("stable:1.5", None)])
def test_predicted_slopes(text, slope):
    assert noise(text).slope == slope and str(noise(text)) == text
