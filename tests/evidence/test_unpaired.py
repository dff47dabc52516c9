"""What is said of arms whose runs share neither seed nor order of the data."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import POINTS, SAMPLES, judge, measured
from scipy import stats

from sqrtscale.evidence import differences_over_samples, end_values, headline, summarise
from sqrtscale.evidence.pairing import samples_ahead

FEW = settings(max_examples=15, deadline=None)


def apart(arms, noise=0.002, seed=0, slope=0.02):
    """Curves of runs that share nothing; arms: name -> (number of runs, distance to base)."""
    g = np.random.default_rng(seed)
    tables = []
    for number, (arm, (count, distance)) in enumerate(arms.items()):
        for run in range(count):
            own = g.normal(0, noise) + g.normal(0, noise / 4, POINTS)
            value = 1.7 + slope * (1 - SAMPLES / SAMPLES[-1]) + distance + own
            tables.append(pd.DataFrame({"arm": arm, "seed": 100 * number + run, "metric": "val_loss", "samples": SAMPLES,
                                        "value": value}))
    return pd.concat(tables, ignore_index=True)


def verdict(arm=(3, 0.0), base=4, margin=None, **settings):
    """The verdict on ``scaled``: number of its runs and its distance to base."""
    return judge(apart({"base": (base, 0), "scaled": arm}, **settings), margin=margin, paired=False)["scaled"]


def ends(table, arm):
    return table[(table["arm"] == arm) & (table["samples"] >= 21_600)].groupby("seed")["value"].mean().to_numpy()


def test_all_runs_of_an_arm_are_held_against_all_of_base():
    table = apart({"base": (5, 0), "scaled": (3, 0.004)})
    found = judge(table, margin=0.01, paired=False)["scaled"]
    assert (found.paired, found.arm_runs, found.base_runs, found.pairs) == (False, 3, 5, 3)
    parts = {"first quarter": (1, 6000), "whole curve": (1, 24_000), "end": (21_600, 24_000)}
    assert [functional.name for functional in found.functionals] == list(parts)
    for functional in found.functionals:
        part = table[table["samples"].between(*parts[functional.name])].groupby(["arm", "seed"])["value"].mean()
        arm, base = part["scaled"], part["base"]
        reference = stats.ttest_ind(arm, base, equal_var=False)
        assert functional.difference == pytest.approx(arm.mean() - base.mean())
        half = stats.t.ppf(0.95, reference.df) * functional.difference / reference.statistic
        assert (functional.low, functional.high) == pytest.approx((functional.difference - half, functional.difference + half))
        assert (functional.sds, functional.runs) == (pytest.approx((arm.std(), base.std())), (3, 5))
    assert found.effect_sd == pytest.approx(found.end.difference / ends(table, "base").std(ddof=1))
    assert judge(table, margin=0.01)["scaled"].reason == "no pairs"  # no seed is the same


def test_matches_and_differs_say_how_many_runs_of_each():
    found = verdict((3, 0.0), margin=0.01)
    assert found.outcome == "matches" and ", 3 runs against 4 of base)" in found.sentence and "seed" not in found.sentence
    assert "(3 runs against 4 of base)" in headline({"scaled": found})
    found = verdict((4, 0.05), base=5)
    assert found.outcome == "differs" and ", 4 runs against 5 of base)" in found.sentence
    assert "standard deviations of base runs" in found.sentence and "seed" not in headline({"scaled": found})


def test_cannot_tell_says_how_many_more_runs_of_each():
    found = verdict((3, 0.001), margin=0.01, noise=0.008, seed=1)
    assert (found.outcome, found.reason) == ("cannot tell", "")
    assert found.sentence.endswith(f"About {found.further_seeds} more runs of each would decide.")
    assert f"3 runs against 4 of base are too few. About {found.further_seeds} more of each would" in headline({"scaled": found})


def test_the_margin_speaks_of_runs():
    table = apart({"base": (4, 0), "scaled": (3, 0)})
    spread = ends(table, "base").std(ddof=1)
    margin = judge(table, paired=False)["scaled"].margin
    assert margin.value == pytest.approx(0.01 + spread) and margin.origin.endswith(f"{spread:.3g} of base between its 4 runs")
    alone = judge(apart({"base": (1, 0), "scaled": (3, 0)}), paired=False)["scaled"].margin
    assert alone.value == 0.01 and "base's own runs spread is not known" in alone.origin


def straight(arms):
    """Noiseless curves that fall by 1 from 2 over the whole samples; arms: name -> the distances of its runs."""
    return pd.concat([pd.DataFrame({"arm": arm, "seed": run, "metric": "val_loss", "samples": SAMPLES,
                                    "value": 2 - SAMPLES / SAMPLES[-1] + distance})
                      for arm, runs in arms.items() for run, distance in enumerate(runs)])


@pytest.mark.parametrize("base, scaled, said", [
    ([0], [0.03], "ends 0.03 nats above base, as if trained on 3% fewer samples; with one run each this may be chance: two base "
                  "runs would show how much."),
    ([0], [-0.01, -0.03], "ends 0.02 nats below base, as if trained on 2% more samples; with 2 runs against 1 of base this may "
                          "be chance: two base runs would show how much."),
    ([-0.01, 0.01], [0.02], "ends 0.02 nats above base; that is 1.4 standard deviations of base runs, as if trained on 2% fewer "
                            "samples; with 1 run against 2 of base this may be chance: two runs of it would show how much.")])
def test_a_single_run_is_no_verdict_and_its_sentence_says_what_would_help(base, scaled, said):
    found = judge(straight({"base": base, "scaled": scaled}), paired=False)["scaled"]
    assert (found.outcome, found.reason, found.further_seeds, found.pairs) == ("cannot tell", "one seed", 2, 1)
    assert found.sentence == f"**scaled** {said}"
    assert "one run cannot tell a difference from chance. Train at least 3 of each." in headline({"scaled": found})


def test_a_single_pair_says_its_difference_in_samples_too():
    found = judge(straight({"base": [0], "scaled": [0.03]}))["scaled"]
    assert found.samples_ahead == pytest.approx(-0.03 * SAMPLES[-1])
    assert found.sentence == ("**scaled** cannot be told yet: it ends 0.03 nats above base, as if trained on 3% fewer samples, "
                              "and one seed cannot tell a difference from chance; train at least 3.")
    level = straight({"base": [0], "scaled": [0.03]}).assign(value=lambda table: 1 + 0.03 * (table["arm"] == "scaled"))
    assert "above base, and one seed" in judge(level)["scaled"].sentence


def test_curves_over_tokens_are_not_said_to_count_samples():
    table = straight({"base": [-0.01, 0.01], "scaled": [0.02]})
    found = judge(table, paired=False, counted="tokens")["scaled"]
    assert "as if trained on 2% fewer tokens" in found.sentence and "samples" not in found.sentence
    far = judge(straight({"base": [-0.01, 0.01], "scaled": [0.8]}), paired=False, counted="tokens")["scaled"]
    assert ", in tokens further than half of the base curve" in far.sentence and "samples" not in far.sentence


def diverge(table, arm, count):
    """So many runs of an arm end with a point that is not a number at 10,000 samples."""
    runs = sorted(set(table["seed"][table["arm"] == arm]))[:count]
    gone = (table["arm"] == arm) & table["seed"].isin(runs)
    table = table[~gone | (table["samples"] <= 10_000)].copy()
    table.loc[gone & (table["samples"] == 10_000), "value"] = math.nan
    return table


@pytest.mark.parametrize("arm, arm_gone, base, base_gone", [(3, 3, 5, 0), (3, 1, 5, 0), (5, 3, 8, 0), (4, 4, 8, 2), (5, 0, 3, 3)])
def test_more_runs_that_diverged_differ_by_fishers_test_of_unequal_counts(arm, arm_gone, base, base_gone):
    table = apart({"base": (base, 0), "scaled": (arm, 0)})
    found = judge(diverge(diverge(table, "scaled", arm_gone), "base", base_gone), paired=False)["scaled"]
    p = stats.fisher_exact([[arm_gone, arm - arm_gone], [base_gone, base - base_gone]], alternative="greater").pvalue
    assert (found.outcome, found.reason) == ("differs" if p <= 0.05 else "cannot tell", "diverged")
    assert (found.arm_runs, found.base_runs) in ((arm - arm_gone, base - base_gone), (0, 0))
    assert f"{arm_gone} of {arm} runs diverged, {base_gone} of {base} of base" in found.sentence


def test_where_the_same_share_diverged_the_others_decide():
    table = apart({"base": (6, 0), "scaled": (3, 0)}, noise=0.001)
    found = judge(diverge(diverge(table, "scaled", 1), "base", 2), margin=0.02, paired=False)["scaled"]
    assert (found.outcome, found.arm_runs, found.base_runs) == ("matches", 2, 4)


def test_infinity_is_divergence_too():
    table = apart({"base": (4, 0), "scaled": (4, 0)})
    table.loc[(table["arm"] == "scaled") & (table["samples"] == SAMPLES[-1]), "value"] = math.inf
    found = judge(table, paired=False)["scaled"]
    assert (found.outcome, found.reason, found.arm_runs) == ("differs", "diverged", 0)


def test_runs_that_are_far_behind_are_left_out_and_points_that_a_run_lacks_too():
    table = apart({"base": (4, 0), "scaled": (4, 0.004)})
    behind = (table["seed"] == 3) & (table["samples"] > 15_000)  # one of base
    shorter = (table["seed"] == 102) & (table["samples"] > 23_000)  # within its last tenth
    gap = (table["seed"] == 101) & (table["samples"] == 5000)
    kept = table[~behind & ~shorter & ~gap]
    found = judge(kept, margin=0.01, paired=False)["scaled"]
    assert (found.arm_runs, found.base_runs) == (4, 3)
    complete = table[(table["seed"] != 3) & (table["samples"] <= 23_000) & (table["samples"] != 5000)]
    expected = judge(complete, margin=0.01, paired=False)["scaled"]
    for functional, other in zip(found.functionals, expected.functionals, strict=True):
        assert functional == other
    course = differences_over_samples(kept, "val_loss", 0.05, paired=False)
    assert list(course["samples"]) == [samples for samples in range(1000, 23_001, 1000) if samples != 5000]
    summary = summarise(kept, "val_loss", paired=False)
    assert (summary["scaled"].n, summary["base"].n) == (4, 3)
    assert summary["scaled"].mean == pytest.approx(summarise(complete, "val_loss", paired=False)["scaled"].mean)


def test_nothing_whole_of_both_is_nothing_to_compare():
    table = apart({"base": (3, 0), "scaled": (3, 0)})
    early, late = (table["arm"] == "base") & (table["samples"] < 9000), (table["arm"] == "scaled") & (table["samples"] > 9000)
    found = judge(table[early | late], paired=False)["scaled"]
    assert (found.outcome, found.reason, found.functionals, found.samples_ahead) == ("cannot tell", "no pairs", (), None)
    assert "there is not yet a whole run of both" in found.sentence and "not yet" in headline({"scaled": found})
    assert judge(table[early], paired=False) == {} == judge(table[late], paired=False)
    assert differences_over_samples(table[early | late], "val_loss", 0.05, paired=False).empty
    assert summarise(table[early | late], "val_loss", paired=False)["scaled"].pairs == 0
    gone = summarise(diverge(table, "scaled", 3), "val_loss", paired=False)
    assert (gone["scaled"].n, gone["scaled"].pairs, gone["base"].n) == (0, 0, 3) and math.isnan(gone["scaled"].mean)


def test_controls_and_the_regime_mean_what_they_mean_for_pairs():
    arms = {"base": (5, 0), "scaled": (4, 0), "unscaled": (4, 0.001), "linear lr": (4, 0.06)}
    assert judge(apart(arms), paired=False)["scaled"].outcome == "matches"
    assert judge(apart(arms), paired=False)["linear lr"].outcome == "differs"
    blind = apart(arms | {"linear lr": (4, 0)})
    assert judge(blind, paired=False)["scaled"].reason == "no power"
    assert judge(apart(arms), regime=measured(10, 40), paired=False)["scaled"].reason == "signal dominates"


@FEW
@given(st.integers(0, 99), st.floats(-0.03, 0.03), st.floats(-3, 3))
def test_seeds_and_a_shift_of_all_runs_mean_nothing(seed, distance, shift):
    table = apart({"base": (4, 0), "scaled": (3, distance)}, seed=seed)
    g = np.random.default_rng(seed)
    renamed = table.assign(seed=table["seed"] % 100).sample(frac=1, random_state=seed)  # now the arms have seeds in common
    renamed["seed"] = renamed["seed"].map(dict(enumerate(g.permutation(100))))
    moved = table.assign(value=table["value"] + shift)
    first = judge(table, margin=0.01, paired=False)["scaled"]
    for other in (judge(x, margin=0.01, paired=False)["scaled"] for x in (renamed, moved)):
        assert (other.outcome, other.further_seeds) == (first.outcome, first.further_seeds)
        for f, g in zip(first.functionals, other.functionals, strict=True):
            assert (f.difference, f.p_within, f.p_beyond) == (
                pytest.approx(g.difference, abs=1e-12), pytest.approx(g.p_within), pytest.approx(g.p_beyond))


@FEW
@given(st.integers(0, 99), st.floats(-0.03, 0.03))
def test_exchanging_the_arms_mirrors(seed, distance):
    table = apart({"base": (4, 0), "scaled": (3, distance)}, seed=seed)
    mirrored = table.assign(arm=table["arm"].map({"base": "scaled", "scaled": "base"}))
    one, other = (judge(x, margin=0.01, paired=False)["scaled"] for x in (table, mirrored))
    assert (one.outcome, one.further_seeds) == (other.outcome, other.further_seeds)
    for f, g in zip(one.functionals, other.functionals, strict=True):
        assert (f.low, f.p_within, f.p_beyond) == (pytest.approx(-g.high), pytest.approx(g.p_within), pytest.approx(g.p_beyond))


def test_summary_and_course_have_the_numbers_of_the_verdict():
    table = apart({"base": (5, 0), "scaled": (3, 0.004)})
    found = judge(table, margin=0.01, paired=False)["scaled"].end
    summary = summarise(table, "val_loss", paired=False)["scaled"]
    values = end_values(table, "val_loss")
    assert summary.difference == pytest.approx(values["scaled"].mean() - values["base"].mean()) == pytest.approx(found.difference)
    reference = stats.ttest_ind(ends(table, "scaled"), ends(table, "base"), equal_var=False)
    dof = reference.df
    assert summary.half_width == pytest.approx(stats.t.ppf(0.975, dof) * summary.difference / reference.statistic)
    assert (summary.pairs, summary.n) == (3, 3)
    course = differences_over_samples(table, "val_loss", 0.05, paired=False)
    assert list(course["samples"]) == list(SAMPLES[1:]) and set(course["pairs"]) == {3}
    for row in course.itertuples():
        point = table[table["samples"] == row.samples]
        arm, base = (point["value"][point["arm"] == name] for name in ("scaled", "base"))
        reference = stats.ttest_ind(arm, base, equal_var=False)
        half = stats.t.ppf(0.95, reference.df) * row.difference / reference.statistic
        assert (row.difference, row.high - row.low) == (pytest.approx(arm.mean() - base.mean()), pytest.approx(2 * abs(half)))
    assert course[course["samples"] >= 21_600]["difference"].mean() == pytest.approx(found.difference)
    single = differences_over_samples(apart({"base": (1, 0), "scaled": (3, 0)}), "val_loss", 0.05, paired=False)
    assert single[["low", "high"]].isna().all(axis=None) and single["difference"].notna().all()


POINT = np.arange(1, 101) * 100.0


def wandering(phi, seed, points=100):
    """Level curves [points] whose noise remembers ``phi`` of the point before."""
    g = np.random.default_rng(seed)
    noise = g.normal(0, 1, points + 100)
    for i in range(1, len(noise)):
        noise[i] += phi * noise[i - 1]
    return noise[100:]


@pytest.mark.parametrize("phi, most", [(0, 0.02), (0.8, 0.05)])
def test_a_level_curve_is_rarely_given_a_slope_though_its_points_hang_together(phi, most):
    repeats = 600
    told = np.mean([samples_ahead(1e-9, wandering(phi, i)[None], POINT)[0] is not None for i in range(repeats)])
    assert told < most


@pytest.mark.parametrize("curve", [lambda t: 3 - t, lambda t: 1 / t, lambda t: t**-0.3, lambda t: np.cos(math.pi * t), np.sqrt])
def test_a_single_curve_that_falls_or_rises_is_told_in_samples(curve):
    values = curve(POINT / POINT[-1])
    slope = stats.linregress(POINT[POINT >= 5000], values[POINT >= 5000]).slope
    ahead, reason = samples_ahead(0.01, values[None] + 1e-4 * wandering(0.8, 1), POINT)
    assert ahead == pytest.approx(0.01 / slope, rel=0.01) and reason == ""


def test_what_cannot_be_said_in_samples_has_a_reason():
    falling = 3 - POINT / POINT[-1]
    for base, points in ((falling[None, ::20], POINT[::20]), (np.tile(falling, (3, 1))[:, ::50], POINT[::50]),
                         (np.empty((0, 100)), POINT), (np.empty((0, 0)), POINT[:0])):
        assert samples_ahead(0.01, base, points)[1] == "base has too few points to say it in samples"
    assert samples_ahead(0.01, np.ones((1, 100)), POINT)[1] == "the base curve is too flat to say it in samples"
    assert samples_ahead(2.0, falling[None], POINT)[1] == "in samples further than half of the base curve"
