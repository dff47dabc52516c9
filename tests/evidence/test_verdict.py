"""What is said of arms whose truth is known, and in which words."""

import math

import numpy as np
import pandas as pd
import pytest
from made_up import SAMPLES, curves, judge, measured
from scipy import stats

from sqrtscale.evidence import Looks, headline
from sqrtscale.rules import FieldError


def verdict(distance, arms=None, **options):
    """The verdict on ``scaled`` at that distance, beside controls that are far away."""
    settings = {name: options.pop(name) for name in ("seeds", "seed_noise", "paired", "seed", "slope") if name in options}
    arms = {"base": 0, "scaled": distance, "unscaled": -0.05, "linear lr": 0.06} if arms is None else arms
    return judge(curves(arms, **settings), **options)["scaled"]


def test_arms_are_judged_in_the_order_of_the_curves_without_base():
    found = judge(curves({"base": 0, "scaled": 0, "unscaled": -0.05, "own": 0.1}))
    assert list(found) == ["scaled", "unscaled", "own"]
    assert [one.control for one in found.values()] == [False, True, False]
    assert [one.outcome for one in found.values()] == ["matches", "differs", "differs"]


def test_functionals_are_paired_means_over_the_first_quarter_the_whole_curve_and_the_end():
    table = curves({"base": 0, "scaled": 0.004})
    found = judge(table, margin=0.01)["scaled"]
    wide = table.pivot(index=["arm", "seed"], columns="samples", values="value")
    gap = (wide.loc["scaled"] - wide.loc["base"])[SAMPLES[1:]]  # nothing has happened at 0 samples
    parts = {"first quarter": gap.loc[:, :6000], "whole curve": gap, "end": gap.loc[:, 21_600:]}
    assert [one.name for one in found.functionals] == list(parts) and found.end.name == "end"
    for one in found.functionals:
        x = parts[one.name].mean(axis=1)
        interval = stats.ttest_1samp(x, 0).confidence_interval(0.9)
        assert (one.difference, one.sd) == (pytest.approx(x.mean()), pytest.approx(x.std()))
        assert (one.low, one.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_margin_is_practical_size_and_spread_of_base_and_says_so():
    table = curves({"base": 0, "scaled": 0})
    margin = judge(table, unit="nats per byte")["scaled"].margin
    spread = table[(table["arm"] == "base") & (table["samples"] >= 21_600)].groupby("seed")["value"].mean().std()
    assert margin.value == pytest.approx(0.01 + spread) and margin.practical == 0.01
    assert margin.spread == pytest.approx(spread)
    assert margin.origin == (
        f"a practical size of 0.01 nats per byte, plus the standard deviation {spread:.3g} of base between its 5 seeds")
    assert judge(table, margin=0.3)["scaled"].margin.value == 0.3
    one = judge(table[table["seed"] == 0])["scaled"].margin
    assert one.value == 0.01 and "not known" in one.origin
    other = judge(table, unit="points", practical=None)["scaled"].margin
    assert other.practical == pytest.approx(0.017, rel=0.01) and "1 %" in other.origin


def test_matches_says_within_what_and_by_how_much():
    found = verdict(0.002)
    assert (found.outcome, found.reason, found.further_seeds, found.pairs) == ("matches", "", None, 5)
    assert f"**scaled** matches base within {found.margin.value:.2g} nats: it ends 0.00" in found.sentence
    assert "90% interval" in found.sentence
    assert "5 seeds" in found.sentence and "standard deviations of base seeds" in found.sentence


def test_differs_says_by_more_than_what():
    for distance, side in ((0.05, "above"), (-0.05, "below")):
        found = verdict(distance)
        assert (found.outcome, found.reason, found.further_seeds) == ("differs", "", None)
        assert f"differs from base by more than {found.margin.value:.2g} nats: it ends 0.0" in found.sentence
        assert f"{side} base" in found.sentence


def test_a_difference_on_the_way_that_is_gone_at_the_end_is_found_and_named():
    early = np.where(SAMPLES <= 6000, 0.06, 0.0)
    found = verdict(early)
    assert found.outcome == "differs" and "over the first quarter it lies 0.0" in found.sentence
    middle = np.where((SAMPLES > 6000) & (SAMPLES < 21_000), 0.06, 0.0)
    found = verdict(middle)
    assert found.outcome == "differs" and "over the whole curve it lies 0.0" in found.sentence
    assert "lies 0.033 nats above the base run over the whole curve" in headline({"scaled": found})


def test_a_sure_difference_smaller_than_the_margin_matches_and_one_near_it_is_open():
    assert verdict(0.004, margin=0.02, seeds=12).outcome == "matches"
    near = verdict(0.019, margin=0.02, seeds=12)
    assert near.outcome == "cannot tell" and "a difference is there" in near.sentence


def test_cannot_tell_says_how_many_seeds_would_decide():
    found = verdict(0.001, seed_noise=0.008, margin=0.01, seeds=3, paired=0)
    assert (found.outcome, found.reason) == ("cannot tell", "")
    assert f"About {found.further_seeds} more seed" in found.sentence and found.further_seeds > 0
    assert f"About {found.further_seeds} more would decide" in headline({"scaled": found})


def test_the_seeds_that_were_asked_for_decide_four_times_in_five():
    """Judge again with as many seeds as the true spread asks for; the estimate from few seeds scatters around that."""
    from sqrtscale.evidence.equivalence import compare, pairs_needed

    sd = 0.006 * math.sqrt(2)  # of differences between unpaired runs, apart from the noise of single points
    x = np.array([-1.0, 0, 1]) * sd
    pairs = pairs_needed([compare("end", x, 0.01, 0.05)] * 3, 0.01, 0.05)
    outcomes = [verdict(0, arms={"base": 0, "scaled": 0}, seed_noise=0.006, paired=0, margin=0.01, seeds=pairs, seed=i).outcome
                for i in range(100)]
    share = np.mean([one == "matches" for one in outcomes])
    assert share > 0.8 - 3 * math.sqrt(0.8 * 0.2 / 100)


def test_one_seed_and_no_pair():
    one = verdict(0.05, seeds=1)
    assert (one.outcome, one.reason, one.further_seeds) == ("cannot tell", "one seed", 2)
    assert "one seed cannot tell" in one.sentence and "one seed cannot tell" in headline({"scaled": one})
    table = curves({"base": 0, "scaled": 0})
    apart = judge(table[(table["arm"] == "base") != (table["seed"] == 0)])["scaled"]
    assert (apart.outcome, apart.pairs, apart.functionals, apart.reason) == ("cannot tell", 0, (), "no pairs")
    assert "not yet" in headline({"scaled": apart})


def test_nothing_to_compare_yet():
    assert judge(curves({"base": 0}).iloc[:0]) == {}
    assert judge(curves({"scaled": 0})) == {} == judge(curves({"base": 0}))
    assert "not yet" in headline({})


def test_runs_that_are_not_as_far_as_the_others_wait():
    table = curves({"base": 0, "scaled": 0, "linear lr": 0.06})
    behind = table[(table["arm"] != "scaled") | (table["seed"] != 4) | (table["samples"] < 10_000)]
    assert judge(behind)["scaled"].pairs == 4
    half = table[(table["arm"] != "scaled") | (table["samples"] <= 12_000)]
    found = judge(half)
    assert found["scaled"].pairs == found["linear lr"].pairs == 5  # each compared as far as it and base are


def diverge(table, arm, seeds):
    """Those runs end with a point that is not a number at 10,000 samples, as the engine ends them."""
    gone = (table["arm"] == arm) & table["seed"].isin(seeds)
    table = table[~gone | (table["samples"] <= 10_000)].copy()
    table.loc[gone & (table["samples"] == 10_000), "value"] = math.nan
    return table


def test_runs_that_all_diverged_differ_and_one_that_did_is_no_match():
    table = curves({"base": 0, "scaled": 0, "linear lr": 0.06}, seeds=3)
    all_gone = judge(diverge(table, "scaled", [0, 1, 2]))["scaled"]
    assert (all_gone.outcome, all_gone.reason, all_gone.pairs) == ("differs", "diverged", 0)
    assert "3 of 3 runs diverged, 0 of base" in all_gone.sentence and "breaks down" in headline({"scaled": all_gone})
    one_gone = judge(diverge(table, "scaled", [1]))["scaled"]
    assert (one_gone.outcome, one_gone.reason, one_gone.pairs) == ("cannot tell", "diverged", 2)
    assert "1 of 3 runs diverged" in one_gone.sentence and "chance" in one_gone.sentence
    base_gone = judge(diverge(table, "base", [0, 1, 2]))["scaled"]
    assert base_gone.outcome == "cannot tell"  # nothing is left to compare with


def test_a_seed_on_which_both_diverged_is_left_out():
    table = curves({"base": 0, "scaled": 0, "linear lr": 0.06})
    found = judge(diverge(diverge(table, "scaled", [1]), "base", [1]))["scaled"]
    assert (found.outcome, found.reason, found.pairs) == ("matches", "", 4)


def test_infinity_is_divergence_too():
    table = curves({"base": 0, "scaled": 0}, seeds=4)
    table.loc[(table["arm"] == "scaled") & (table["samples"] == SAMPLES[-1]), "value"] = math.inf
    assert judge(table)["scaled"].outcome == "differs"


def test_a_calibration_whose_controls_match_has_no_power():
    blind = {"base": 0, "scaled": 0, "unscaled": 0, "linear lr": 0.001}
    found = judge(curves(blind))
    assert (found["scaled"].outcome, found["scaled"].reason) == ("not a test", "no power")
    assert found["unscaled"].outcome == found["linear lr"].outcome == "matches"
    assert "even the controls (unscaled and linear lr) could not be told" in found["scaled"].sentence
    assert "does not test the scaling" in headline(found)
    assert judge(curves(blind | {"linear lr": 0.06}))["scaled"].outcome == "matches"  # one control that is told is power
    assert judge(curves(blind | {"scaled": 0.06}))["scaled"].outcome == "differs"  # what is told has been told
    assert judge(curves({"base": 0, "scaled": 0, "unscaled": 0}))["scaled"].outcome == "not a test"


def test_a_match_waits_for_controls_that_are_not_told_yet():
    arms = {"base": 0, "scaled": 0, "unscaled": -0.0102, "linear lr": 0.0102}
    found = judge(curves(arms, seeds=3, seed_noise=0.001), margin=0.01)
    assert found["unscaled"].outcome == found["linear lr"].outcome == "cannot tell"
    assert (found["scaled"].outcome, found["scaled"].reason) == ("cannot tell", "no power")
    assert found["scaled"].further_seeds == min(found[name].further_seeds for name in ("unscaled", "linear lr"))
    assert "no control (unscaled and linear lr) could be told" in found["scaled"].sentence
    assert "even wrong settings" in headline(found)


def test_a_match_without_controls_says_that_its_power_is_unknown():
    found = judge(curves({"base": 0, "scaled": 0}))
    assert found["scaled"].outcome == "matches" and "not known" in headline(found)
    assert "does tell unscaled and linear lr" in headline(judge(curves(
        {"base": 0, "scaled": 0, "unscaled": -0.05, "linear lr": 0.06})))


SIGNAL = [measured(10, 40), measured(20, 90, ratio=(1.2, 3)), measured(100, 200, ratio=(1.2, 3)),
          measured(10, 40, 64, 8), measured(20, 90, 64, 8, ratio=(0.5, 0.8)),
          {"scaled": measured(10, 40), "half-life": measured(10, 40), "unscaled": measured(10, 40)}]


@pytest.mark.parametrize("regime", SIGNAL)
@pytest.mark.parametrize("distance", [0, 0.012, 0.06])
def test_where_the_signal_dominates_no_arm_of_the_rule_is_judged(regime, distance):
    arms = {"base": 0, "scaled": distance, "half-life": 0, "unscaled": -0.05, "linear lr": 0}
    found = judge(curves(arms), regime=regime)
    for arm in ("scaled", "half-life"):
        assert (found[arm].outcome, found[arm].reason) == ("not a test", "signal dominates")
        assert "signal dominates" in found[arm].sentence and "it ends" in found[arm].sentence.lower()
    assert (found["unscaled"].outcome, found["linear lr"].outcome) == ("differs", "matches")  # facts about the curves stay
    assert "does not test the scaling" in headline(found)


@pytest.mark.parametrize("regime", [
    None, measured(300, 600), measured(20, 90), measured(300, 600, ratio=(6, 8)), measured(20, 90, ratio=(2, 6)),
    measured(20, 90, 8, 8, ratio=(0.9, 1.1)), measured(300, 600, 64, 8, ratio=(1 / 7, 1 / 6)), measured(90, 200, 64, 8, (0, 1)),
    {"unscaled": measured(10, 40)}])
def test_where_the_signal_is_not_shown_to_dominate_the_curves_decide(regime):
    table = curves({"base": 0, "scaled": 0, "unscaled": -0.05})
    assert judge(table, regime=regime)["scaled"].outcome == "matches"


@pytest.mark.parametrize("kappa", [2, 8, 1 / 4])
@pytest.mark.parametrize("share", [0.99, 1.01])
def test_noise_scale_and_second_moments_turn_at_the_same_place(kappa, share):
    """v = signal + noise / batch, with a noise scale just below and just above the larger batch."""
    base, target = (8, round(8 * kappa)) if kappa > 1 else (32, round(32 * kappa))
    scale = share * max(base, target)
    ratio = (1 + scale / base) / (1 + scale / target)
    table = curves({"base": 0, "scaled": 0, "unscaled": -0.05})
    outcomes = {judge(table, regime=one)["scaled"].outcome for one in (
        measured(scale, scale, base, target), measured(0, 1e9, base, target, (ratio, ratio)))}
    assert outcomes == {"not a test" if share < 1 else "matches"}


def test_samples_ahead_are_read_off_the_base_curve():
    found = verdict(0.01, slope=0.1, seed_noise=0.0002, margin=0.02)
    assert found.samples_ahead == pytest.approx(-0.01 / 0.1 * SAMPLES[-1], rel=0.1)
    assert f"as if trained on {-100 * found.samples_ahead / SAMPLES[-1]:.2g}% fewer samples" in found.sentence
    assert verdict(-0.01, slope=0.1, seed_noise=0.0002).samples_ahead > 0
    rising = curves({"base": 0, "scaled": 0.008}, slope=-0.1, seed_noise=0.0002)
    assert judge(rising)["scaled"].samples_ahead > 0  # an accuracy that is higher is ahead
    flat = verdict(0.002, slope=0)
    assert flat.samples_ahead is None and "too flat" in flat.sentence
    far = verdict(0.09, slope=0.1)
    assert far.samples_ahead is None and "further than half" in far.sentence


def test_effect_is_in_standard_deviations_of_base_at_the_end():
    table = curves({"base": 0, "scaled": 0.05})
    ends = table[table["samples"] >= 21_600].groupby(["arm", "seed"])["value"].mean()
    expected = (ends["scaled"].mean() - ends["base"].mean()) / ends["base"].std()
    assert judge(table, margin=0.01)["scaled"].effect_sd == pytest.approx(expected)


def test_a_look_has_its_own_level():
    first, _, last = Looks((3, 5, 8)).levels(0.05)
    table = curves({"base": 0, "scaled": 0.002, "unscaled": -0.05}, seeds=3)
    assert judge(table)["scaled"].outcome == "matches"
    assert judge(table, level=first)["scaled"].outcome == "cannot tell"
    strict, usual = judge(table, level=last)["scaled"].end, judge(table)["scaled"].end
    assert strict.level == last and strict.high - strict.low > usual.high - usual.low


@pytest.mark.parametrize("options, field", [
    ({"margin": 0}, "margin"), ({"margin": math.nan}, "margin"), ({"margin": "wide"}, "margin"), ({"alpha": 1}, "alpha"),
    ({"level": 0}, "level"), ({"metric": "speed"}, "metric")])
def test_bad_input_is_named(options, field):
    with pytest.raises(FieldError, match=field):
        judge(curves({"base": 0, "scaled": 0}), **options)


def test_only_arms_that_are_given_as_controls_show_power():
    table = curves({"base": 0, "scaled": 0, "unscaled": 0, "linear lr": 0.06})
    assert judge(table, controls=frozenset())["scaled"].outcome == "matches"
    assert judge(table, controls=frozenset({"unscaled"}))["scaled"].outcome == "not a test"
    assert judge(table, controls=frozenset({"linear lr"}))["scaled"].outcome == "matches"
    renamed = table.assign(arm=table["arm"].replace({"unscaled": "as it was"}))
    assert judge(renamed, controls=frozenset({"as it was"}))["scaled"].outcome == "not a test"


def test_a_seed_with_the_mean_difference_sharpens_the_interval():
    table = curves({"base": 0, "scaled": 0.004})
    wide = table.pivot(index=["arm", "samples"], columns="seed", values="value")
    new = wide.mean(axis=1).rename("value").reset_index().assign(seed=5, metric="val_loss")
    before, after = (judge(x, margin=0.01)["scaled"].functionals for x in (table, pd.concat([table, new])))
    for f, g in zip(before, after, strict=True):
        assert g.difference == pytest.approx(f.difference) and g.high - g.low < f.high - f.low


def test_base_against_itself_is_called_different_in_at_most_one_of_twenty():
    """Independent seeds on both sides; margin of a tenth of the spread, so that it protects hardly at all."""
    repeats = 200
    wrong = np.mean([verdict(0, arms={"base": 0, "scaled": 0}, paired=0, margin=0.0002, seed=i).outcome == "differs"
                     for i in range(repeats)])
    assert wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats)


def test_an_arm_at_the_margin_is_called_a_match_in_at_most_one_of_twenty():
    repeats = 200
    wrong = np.mean([verdict(0.004, arms={"base": 0, "scaled": 0.004}, margin=0.004, seed=i).outcome == "matches"
                     for i in range(repeats)])
    assert 0 < wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / repeats)
