"""What judging keeps whatever the curves are: shifts, mirrors, names, orders, wider margins."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import curves, judge, measured

distances = st.floats(-0.05, 0.05, allow_nan=False)
FEW = settings(max_examples=15, deadline=None)


@FEW
@given(distances, st.floats(-3, 3), st.integers(0, 99))
def test_shifting_every_arm_changes_nothing(distance, shift, seed):
    table = curves({"base": 0, "scaled": distance}, seed=seed)
    moved = table.assign(value=table["value"] + shift)
    one, other = (judge(x, margin=0.01)["scaled"] for x in (table, moved))
    assert one.outcome == other.outcome and one.further_seeds == other.further_seeds
    assert [f.difference for f in one.functionals] == pytest.approx([f.difference for f in other.functionals], abs=1e-12)


@FEW
@given(distances, st.integers(0, 99))
def test_exchanging_the_arms_mirrors(distance, seed):
    table = curves({"base": 0, "scaled": distance}, seed=seed)
    mirrored = table.assign(arm=table["arm"].map({"base": "scaled", "scaled": "base"}))
    one, other = judge(table, margin=0.01)["scaled"], judge(mirrored, margin=0.01)["scaled"]
    assert one.outcome == other.outcome
    for f, g in zip(one.functionals, other.functionals, strict=True):
        assert (f.low, f.p_within, f.p_beyond) == (pytest.approx(-g.high), pytest.approx(g.p_within), pytest.approx(g.p_beyond))


@FEW
@given(st.integers(0, 99), st.permutations(range(5)))
def test_the_names_and_the_order_of_seeds_and_rows_do_not_matter(seed, order):
    table = curves({"base": 0, "scaled": 0.004}, seed=seed)
    renamed = table.assign(seed=table["seed"].map(dict(enumerate(order))))
    shuffled = pd.concat([part.sample(frac=1, random_state=seed) for _, part in renamed.groupby("arm", sort=False)])
    one, other = judge(table)["scaled"], judge(shuffled)["scaled"]
    assert [f.p_within for f in one.functionals] == pytest.approx([f.p_within for f in other.functionals])


ARMS = ("base", "scaled", "own: lr=1e-3", "unscaled", "linear lr 2x")
names = st.lists(st.text(max_size=12) | st.sampled_from(ARMS), min_size=len(ARMS), max_size=len(ARMS), unique=True)


@FEW
@given(names, distances, st.sets(st.sampled_from(ARMS[1:])), st.booleans(), st.integers(0, 99))
def test_judging_is_the_same_whatever_the_arms_are_called(names, distance, controls, signal_dominates, seed):
    table = curves(dict(zip(ARMS, (0, distance, 0.001, -0.01, 0.012), strict=True)), seeds=3, seed=seed)
    called = dict(zip(ARMS, names, strict=True))
    by_arm = {"scaled": measured(10, 40)} if signal_dominates else {}
    before = judge(table, controls=frozenset(controls), regime=by_arm)
    after = judge(table.assign(arm=table["arm"].map(called)), base=called["base"], regime={
        called[arm]: regime for arm, regime in by_arm.items()}, controls=frozenset(called[arm] for arm in controls))
    assert list(after) == [called[arm] for arm in before]
    for arm, verdict in before.items():
        assert replace(after[called[arm]], arm="", sentence="") == replace(verdict, arm="", sentence="")


@FEW
@given(st.floats(0.001, 1), st.integers(0, 99))
def test_a_wider_margin_keeps_a_match_and_a_narrower_one_a_difference(margin, seed):
    table = curves({"base": 0, "scaled": 0.01}, seed=seed)
    narrow, wide = (judge(table, margin=one)["scaled"].outcome for one in (margin, 2 * margin))
    assert (narrow, wide) in [("matches", "matches"), ("cannot tell", "matches"), ("cannot tell", "cannot tell"),
                              ("differs", "matches"), ("differs", "cannot tell"), ("differs", "differs")]
