"""Rival rules over kappa: each line against that rule's own formula."""

from __future__ import annotations

import math

import pytest

from sqrtscale.rules import TrainingConfig, scale
from sqrtscale.ui.colours import SCALED
from sqrtscale.ui.rules_chart import AWARE, OWN, figure

BASE = TrainingConfig("adamw", 256, {"lr": 1e-3, "beta2": 0.95})


def lines(drawn, axis: str = "x"):
    """Rule -> {kappa: value} of its line in the panel of that axis; where there is no value, None."""
    return {trace.name: dict(zip(trace.x, trace.y, strict=True)) for trace in drawn.data
            if trace.mode == "lines" and (trace.xaxis or "x") == axis}


def test_lr_is_that_of_every_rule():
    """Each by its source, and surge from lr_opt(B) ~ 1 / (sqrt(b / B) + sqrt(B / b)) with b = 1000."""
    def surge(batch):
        return 1 / (math.sqrt(1000 / batch) + math.sqrt(batch / 1000))

    laws = {OWN: math.sqrt, "Unscaled": lambda kappa: 1, "Linear lr": lambda kappa: kappa,
            "Square root on lr only": math.sqrt, "Half-life of beta2": lambda kappa: 1, "LEGW": math.sqrt,
            "Surge": lambda kappa: surge(256 * kappa) / surge(256),
            AWARE: lambda kappa: kappa * math.sqrt((1 + 1000 / (256 * kappa)) / (1 + 1000 / 256))}
    drawn = lines(figure(scale(BASE, 1024), 1000.0))
    assert set(drawn) == set(laws)
    for rule, law in laws.items():
        assert len(drawn[rule]) >= 30 and 1 / 16 in drawn[rule] and 16 in drawn[rule]
        assert all(value == pytest.approx(1e-3 * law(kappa)) for kappa, value in drawn[rule].items()), rule


def test_beta2_is_that_of_every_rule_and_has_a_gap_where_ours_has_no_number():
    drawn = lines(figure(scale(BASE, 8192)), "x2")  # kappa = 32: 1 - 32 * 0.05 < 0
    for kappa, value in drawn[OWN].items():
        assert value == (None if kappa > 20 else pytest.approx(1 - 0.05 * kappa, abs=1e-12))
    assert None in drawn[OWN].values()
    assert all(value == pytest.approx(0.95**kappa) for kappa, value in drawn["Half-life of beta2"].items())
    assert set(drawn["Linear lr"].values()) == {0.95}


def test_the_chosen_kappa_is_marked_on_every_line_and_this_rule_is_orange():
    drawn = figure(scale(BASE, 1000))
    points = [(trace.name, trace.xaxis or "x", *trace.x) for trace in drawn.data if trace.mode == "markers"]
    assert len(points) == len(set(points)) == 2 * len(lines(drawn)) and {kappa for *_, kappa in points} == {1000 / 256}
    assert {trace.line.color for trace in drawn.data if trace.name == OWN and trace.mode == "lines"} == {SCALED}
    assert [trace.name for trace in drawn.data if trace.showlegend] == list(lines(drawn))


def test_sgd_has_no_second_panel_and_its_own_rule_is_the_linear_one():
    drawn = figure(scale(TrainingConfig("sgd", 32, {"lr": 0.1}), 128))
    assert lines(drawn)[OWN] == pytest.approx(lines(drawn)["Linear lr"]) and not lines(drawn, "x2")


@pytest.mark.parametrize("batch, target", [(1, 10**12), (10**12, 1), (3, 3)])
def test_it_is_drawn_at_the_edges(batch, target):
    drawn = lines(figure(scale(TrainingConfig("adam", batch), target)))
    assert all(1 / batch <= kappa <= 10**12 / batch for kappa in drawn[OWN])
