"""Where the steps of an arm met curvature, said beside its verdict."""

import numpy as np
import pandas as pd
import pytest
from made_up import curves, judge

from sqrtscale.evidence import with_curvature
from sqrtscale.evidence.curvature import base_sharpness, curvatures
from sqrtscale.rules import TrainingConfig

CONFIGS = {"scaled": TrainingConfig("adam", 64, {"lr": 2.8e-3, "beta1": 0.6}),
           "other": TrainingConfig("rmsprop", 64, {"lr": 0.01})}


def measured(arm, *points, seed=0):
    """Rows of curves: points of (samples, sharpness, limit)."""
    return pd.DataFrame([(arm, name, seed, samples, value) for samples, *values in points
                         for name, value in zip(("sharpness", "sharpness_limit"), values, strict=True)],
                        columns=["arm", "metric", "seed", "samples", "value"])


def said(distance, *rows, arm="scaled"):
    """The sentence on an arm that ends so far from base."""
    both = pd.concat([curves({"base": 0.0, arm: distance}), *rows])
    return with_curvature(judge(both, controls=frozenset()), both, CONFIGS)[arm].sentence


def test_the_nearest_approach_to_the_limit_counts_in_the_median_of_the_seeds():
    rows = [measured("scaled", (1000, size * 1000.0, 4000.0), (2000, 500.0, 2000.0), seed=seed)
            for seed, size in enumerate((1, 2, 90))]
    own = curvatures(pd.concat(rows))["scaled"]
    assert (own.sharpness, own.limit, own.samples, own.share, own.met) == (2000, 4000, 1000, 0.5, False)


def test_bases_sharpness_counts_at_its_own_learning_rate():
    """Adam at lr 1e-3 and beta1 0.9 bears 38,000; a schedule had lr at a quarter where base came nearest, 20,000 of 152,000."""
    base, rows = TrainingConfig("adam", 64, {"lr": 1e-3}), measured("base", (1000, 3000.0, 38_000.0), (6000, 20_000.0, 152_000.0))
    assert base_sharpness(rows, base) == pytest.approx(5000)
    assert base_sharpness(rows[rows["arm"] == "scaled"], base) is None


def test_an_arm_that_differs_and_met_curvature_says_so_with_its_numbers():
    base = measured("base", (6000, 4400.0, 38_000.0))
    text = said(0.2, base, measured("scaled", (6000, 4100.0, 4000.0), (24_000, 1000.0, 4000.0)))
    assert "differs from base" in text
    assert ("The steps meet curvature: preconditioned sharpness 4,100 after 6,000 samples, of at most 4,000 that beta1 0.6 and "
            "lr 0.0028 bear (base's is at 12% of its limit).") in text
    assert "smaller kappa" in text and "beta1 kept higher" in text


def test_without_a_first_moment_beta1_is_no_remedy():
    text = said(0.2, measured("other", (6000, 190.0, 200.0)), arm="other")
    assert "190 after 6,000 samples, of at most 200 that lr 0.01 bears. " in text and "beta1" not in text


@pytest.mark.parametrize("distance, sharpness", [(0.0, 4100.0), (0.2, 3500.0), (0.2, np.nan), (0.2, None)])
def test_nothing_is_said_of_a_match_of_steps_far_from_the_limit_and_of_what_was_not_measured(distance, sharpness):
    rows = [] if sharpness is None else [measured("scaled", (6000, sharpness, 4000.0))]
    assert "curvature" not in said(distance, *rows)
