"""Curves on common points: against integrals worked out by brute force, and differences that must not appear."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqrtscale.compared import ImportedArm, ImportedPlan, ImportedRun
from sqrtscale.imported import on_common_points
from sqrtscale.imported._grid import left_out


def plan(values="evaluation", since=0, arms=("base", "scaled"), seeds=1):
    return ImportedPlan(
        "loss", tuple(ImportedArm(arm, 64 if arm == "base" else 256, "base" if arm == "base" else "rule") for arm in arms),
        tuple(ImportedRun(arm, seed, f"{arm}-{seed}", ()) for arm in arms for seed in range(seeds)), "steps", values, since=since)


def curve(arm, samples, values, seed=0, metric="loss"):
    return pd.DataFrame({"arm": arm, "seed": seed, "metric": metric, "samples": np.asarray(samples, np.int64),
                         "value": np.asarray(values, float)})


def aligned(curves, *args, **kwargs):
    return on_common_points(pd.concat(curves, ignore_index=True), plan(*args, **kwargs))


def names_of(curves, *args, **kwargs):
    return left_out(pd.concat(curves, ignore_index=True), plan(*args, **kwargs))


def of(table, arm, seed=0, metric="loss"):
    rows = table[(table["arm"] == arm) & (table["seed"] == seed) & (table["metric"] == metric)]
    return rows["samples"].tolist(), rows["value"].tolist()


def test_evaluations_at_the_same_points_are_untouched():
    points, values = [0, 100, 200, 300], [4.0, 3.0, 2.5, 2.25]
    table = aligned([curve("base", points, values), curve("scaled", points, values[::-1])])
    assert of(table, "base") == (points, values) and of(table, "scaled") == (points, values[::-1])


def test_evaluations_are_read_at_the_points_of_the_run_that_has_the_fewest():
    table = aligned([curve("base", range(0, 401, 50), np.arange(9.0)), curve("scaled", [0, 75, 400], [10.0, 20.0, 30.0])])
    assert of(table, "base") == ([0, 75, 400], [0.0, 1.5, 8.0]) and of(table, "scaled") == ([0, 75, 400], [10.0, 20.0, 30.0])


def test_what_lies_beyond_the_end_of_the_shortest_arm_is_left_out_and_said():
    curves = [curve("base", range(0, 1001, 100), np.zeros(11)), curve("scaled", range(0, 501, 100), np.zeros(6))]
    assert of(aligned(curves), "base")[0][-1] == 500
    assert names_of(curves) == ("base ends at 1,000 samples and is compared up to 500, where the shorter one ends.",)


def test_a_run_that_was_broken_off_is_left_out_and_said():
    curves = [curve("base", range(0, 1001, 100), np.zeros(11)), curve("base", range(0, 401, 100), np.ones(5), seed=1),
              curve("scaled", range(0, 1001, 100), np.ones(11))]
    table = aligned(curves)
    assert of(table, "base", 1) == ([], []) and of(table, "base")[0][-1] == 1000
    assert names_of(curves, seeds=2) == (
        "Run base-1 of base has loss from 0 to 400 samples, others of its arm further, and is left out.",)


def test_a_run_that_diverged_stays_and_is_infinite_from_there_on():
    lost = [3.0, 2.0, math.nan, 5.0, math.nan, math.inf]  # a gap in the middle is no divergence
    table = aligned([curve("base", range(0, 501, 100), np.zeros(6)), curve("scaled", range(0, 501, 100), lost),
                     curve("scaled", range(0, 501, 100), np.ones(6), seed=1)])
    samples, values = of(table, "scaled")
    assert samples == [0, 100, 200, 300, 400, 500] and values[:2] + values[3:] == [3.0, 2.0, 5.0, math.inf, math.inf]
    assert 2 < values[2] < 5


def test_a_run_that_diverged_later_than_others_ended_makes_none_of_them_short():
    whole = [curve("scaled", range(0, 501, 100), np.ones(6), seed=seed) for seed in (0, 1)]
    lost = curve("scaled", range(0, 801, 100), [1.0] * 8 + [math.nan], seed=2)
    table = aligned([curve("base", range(0, 501, 100), np.zeros(6)), *whole, lost])
    assert of(table, "scaled", 0)[1] == [1.0] * 6 == of(table, "scaled", 2)[1]


def test_a_run_that_is_lost_just_beyond_the_end_has_diverged():
    lost = curve("scaled", [*range(0, 1001, 100), 1010], [1.0] * 11 + [math.nan])
    whole = curve("scaled", range(0, 1001, 100), np.ones(11), seed=1)
    table = aligned([curve("base", range(0, 1001, 100), np.zeros(11)), lost, whole])
    assert of(table, "scaled")[1][-2:] == [1.0, math.inf] and of(table, "scaled", 1)[1][-1] == 1.0


def test_a_run_that_begins_late_is_left_out_and_said():
    curves = [curve("base", range(0, 1001, 100), np.zeros(11)), curve("scaled", range(0, 1001, 100), np.ones(11)),
              curve("scaled", [900, 1000], [1.0, 1.0], seed=1)]
    assert of(aligned(curves), "scaled")[0][0] == 0 and of(aligned(curves), "scaled", 1) == ([], [])
    assert "Run scaled-1 of scaled has loss from 900 to 1,000 samples" in names_of(curves, seeds=2)[0]


def test_a_short_control_hides_no_difference_of_the_arm_under_test():
    points = range(0, 1001, 100)
    late = np.where(np.array(points) > 600, 0.2, 0.0)
    curves = [curve("base", points, np.zeros(11)), curve("scaled", points, late), curve("linear", [0, 150, 300], [0.1, 0.1, 0.1])]
    table = aligned(curves, arms=("base", "scaled", "linear"))
    assert of(table, "scaled") == (list(points), late.tolist()) and of(table, "linear")[0] == [0, 100, 200, 300]
    assert "linear ends at 300 samples and is compared up to there." in names_of(curves, arms=("base", "scaled", "linear"))


def test_evaluations_at_other_samples_are_no_difference():
    """Of one curve that bends: read by straight lines the coarse one would lie above it, here by 0.021."""
    def course(x):
        return 1 + 2 * np.exp(-np.asarray(x) / 20_000)

    fine, coarse = np.arange(0, 102_401, 10_240), np.arange(0, 98_305, 12_288)
    curves = [curve("base", fine, course(fine)), curve("scaled", coarse, course(coarse))]
    table = aligned(curves)
    apart = np.abs(np.subtract(of(table, "base")[1], of(table, "scaled")[1]))
    straight = np.abs(np.interp(coarse, fine, course(fine)) - course(coarse))
    assert apart.max() < straight.max() / 3 and straight.max() > 0.02
    assert "Not all runs have loss at the same samples" in names_of(curves)[-1]


def test_the_comparison_counts_from_where_it_begins():
    table = aligned([curve("base", range(0, 501, 100), np.arange(6.0)), curve("scaled", range(0, 501, 100), np.arange(6.0))],
                    since=150)
    assert of(table, "base") == ([50, 150, 250, 350], [2.0, 3.0, 4.0, 5.0])


def test_the_mean_over_a_bin_is_that_of_what_windows_cover_of_it():
    # base logs every 100 samples, scaled every 250: bins of 250. 100 + 100 + 50 of base's windows lie in the first bin.
    table = aligned([curve("base", [100, 200, 300, 400, 500], [10, 8, 6, 4, 2]), curve("scaled", [250, 500], [9, 5])], "window")
    first, second = (100 * 10 + 100 * 8 + 50 * 6) / 250, (50 * 6 + 100 * 4 + 100 * 2) / 250
    assert of(table, "base") == ([250, 500], pytest.approx([first, second]))
    assert of(table, "scaled") == ([250, 500], [9.0, 5.0])


def test_a_single_batch_stands_for_the_stretch_half_way_to_its_neighbours():
    # base at 100, 200, 300, 400: stretches 50 to 150, 150 to 250, 250 to 350, 350 to 400
    table = aligned([curve("base", [100, 200, 300, 400], [1, 2, 3, 4]), curve("scaled", [200, 400], [7, 9])], "batch")
    samples, values = of(table, "base")
    assert samples[-1] == 400
    edges = [samples[-1] - (samples[1] - samples[0]), 400]
    grid = np.linspace(*edges, 200_001)[:-1] + 0.5 * (edges[1] - edges[0]) / 200_000
    stretches = np.select([grid < 150, grid < 250, grid < 350], [1, 2, 3], 4)
    assert values[-1] == pytest.approx(stretches.mean(), rel=1e-4)


@pytest.mark.parametrize("values", ["window", "batch"])
def test_logging_rarely_is_no_difference(values):
    """The same course, logged every 10 steps at batch 64 and at batch 512: means over windows lag by half a window."""
    def course(x):
        return 2 + 3 * np.exp(-x / 20_000)

    def logged(batch):
        steps = np.arange(10, 64_000 // batch + 1, 10) * batch
        if values == "batch":
            return steps, course(steps)
        width = 10 * batch
        return steps, 2 + 3 * 20_000 / width * (np.exp(-(steps - width) / 20_000) - np.exp(-steps / 20_000))

    table = aligned([curve("base", *logged(64)), curve("scaled", *logged(512))], values)
    (points, base), (_, scaled) = of(table, "base"), of(table, "scaled")
    apart = np.abs(np.subtract(base, scaled))
    at_the_same_points = np.abs(np.interp(points, *logged(64)) - np.interp(points, *logged(512)))
    assert len(points) >= 12 and apart[1:-1].max() < 0.02
    if values == "window":
        assert apart.max() < 1e-9 < at_the_same_points.min()  # what pairing by the logged points would call a difference


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=3, max_size=40), st.lists(st.integers(1, 400), min_size=3, max_size=40),
       st.sampled_from(["evaluation", "window", "batch"]), st.floats(-5, 5), st.floats(-1e-3, 1e-3))
def test_a_constant_stays_and_no_value_leaves_the_range(steps, others, values, level, slope):
    ends = min(sum(steps), sum(others))
    left, right = (np.unique(np.minimum(np.cumsum(gaps), ends)) for gaps in (steps, others))
    table = aligned([curve("base", left, np.full(len(left), level)), curve("scaled", right, level + slope * right)], values)
    base, scaled = of(table, "base")[1], of(table, "scaled")[1]
    assert base == pytest.approx([level] * len(base), abs=1e-9) and len(base) == len(scaled) >= 1
    low, high = sorted([level, level + slope * ends])
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in scaled)


def test_measurements_of_a_meter_are_kept_and_second_moments_are_aligned():
    meter = pd.concat([curve("base", [10, 500], [1.0, 3.0], metric=name) for name in ("noise", "signal")])
    moments = [curve("base", [100, 300, 500], [4, 6, 8], metric="second_moment"),
               curve("scaled", [200, 500], [1, 2], metric="second_moment")]
    judged = [curve(arm, [0, 250, 500], [1, 1, 1]) for arm in ("base", "scaled")]
    table = aligned([*judged, meter, *moments], since=50)
    assert of(table, "base", metric="noise") == ([450], [3.0])
    assert of(table, "base", metric="second_moment") == ([250, 450], [6.0, 8.0])
