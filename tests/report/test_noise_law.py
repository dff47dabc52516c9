"""Measured tails and skewness choose a law of the lab, which the lab knows."""

import numpy as np
import pytest

from sqrtscale.diagnostics.tails import Skewness, hill, not_normal, skewness, stable_index
from sqrtscale.evidence import Index, LayerTails
from sqrtscale.lab import noise
from sqrtscale.report.noise_law import law_sentence, nearest_law


def tails(hill, stable=1.9, not_normal=0.5, layer="w", error=0.05, skew=None):
    return LayerTails("base", layer, 100, Index(stable, error), Index(hill, error), not_normal,
                      None if skew is None else Skewness(skew**2, 0.2))


@pytest.mark.parametrize("measured, law", [
    ([], None),
    ([tails(2.0, error=0.5)], None),  # unclear
    ([tails(6, 1.99, 0.05)], "gauss"),
    ([tails(5), tails(6, layer="v")], "laplace"),
    ([tails(3.1), tails(5, layer="v")], "student:3.1"),
    ([tails(2.3), tails(3.1, layer="v")], "student:2.3"),
    ([tails(1.4, 1.5, 0.9), tails(3.1, layer="v")], "stable:1.5"),
    ([tails(0.8, 0.7, 0.9)], "stable:1.05"),
    ([tails(5, skew=0.4), tails(6, layer="v", skew=0.9)], "laplace"),  # nearer to 0 than to 2
    ([tails(5, skew=0.4), tails(6, layer="v", skew=1.4)], "skewed"),
    ([tails(6, 1.99, 0.05, skew=1.4)], "skewed"),  # which random projections do not see
    ([tails(3.3, skew=1.4)], "skewed"),  # 1 / 2, less than Student's 0.65
    ([tails(2.9, skew=1.4)], "student:2.9"),  # 0.45, less than 1 / 2
    ([tails(1.4, 1.5, 0.9, skew=1.4)], "stable:1.5"),
])
def test_the_heaviest_layer_decides(measured, law):
    assert nearest_law(measured) == law
    if law:
        assert str(noise(law)) == law and law in law_sentence(measured)
    else:
        assert law_sentence(measured) == ""


def test_the_sentence_gives_the_power_of_kappa():
    text = law_sentence([tails(3.0, layer="head.weight")])
    assert "head.weight, tail index 3, 2.9 to 3.1" in text and "kappa^0.5 times the error" in text
    assert "most of it cancels" in text  # measured by benchmarks/averaged_noise.py
    assert "times the error" not in law_sentence([tails(5)])
    text = law_sentence([tails(5, skew=0.4), tails(6, layer="v", skew=1.5)])
    assert "noise of v, skewness 1.5, 1.4 to 1.6" in text and "kappa^0.5 times the error" in text


@pytest.mark.parametrize("text, expected", [("gauss", {"gauss"}), ("laplace", {"laplace"}), ("student:3", {"student"}),
                                            ("stable:1.3", {"stable"}), ("skewed", {"skewed"})])
def test_noise_drawn_from_a_law_is_recognised(text, expected):
    """By the same estimators that a calibration uses, on 400 draws of 100 coordinates."""
    random = np.random.default_rng(0)
    drawn = noise(text).distribution().rvs(size=(400, 100), random_state=random)
    projections = drawn @ random.standard_normal((100, 64)) if text == "gauss" else drawn[:, :64]
    measured = LayerTails("base", "w", 0, stable_index(drawn), hill(drawn), not_normal(projections), skewness(drawn))
    assert nearest_law([measured]).partition(":")[0] in expected
