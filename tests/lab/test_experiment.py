"""Settings of an experiment: what they become, and what is refused in one sentence."""

import pytest

from sqrtscale import lab
from sqrtscale.rules import FieldError


def test_the_axis_has_the_base_at_its_beta2_and_the_target_kappa_times_to_the_right():
    made = lab.experiment(algorithm="adam", betas=(0.95, 0.99), kappa=4)
    assert made.one_minus_beta2(made.base_step) == pytest.approx(0.01)
    assert made.one_minus_beta2(4 * made.base_step) == pytest.approx(0.04)
    assert made.rates[0] * made.base_step == pytest.approx(0.05) and made.rates[0] / made.rates[1] == pytest.approx(5)
    assert 4 * made.base_step in made.steps


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.95, 0.99), (0.9, 0.95), (0.99, 0.9), (0.0, 0.5), (0.9, 0.999999)])
def test_the_five_smallest_steps_are_small_against_every_memory(betas):
    made = lab.experiment(betas=betas, kappa=8)
    assert all(rate * made.steps[4] <= 1 / 8 for rate in made.rates)
    assert max(made.rates) * made.steps[4] > 1 / 16 or made.steps[4] == 1 / 8
    assert [b / a for a, b in zip(made.steps, made.steps[1:], strict=False)] == [2.0] * (len(made.steps) - 1)
    assert all(rate * made.steps[-1] < 1 for rate in made.rates)


def test_seconds_are_counted_so_that_twice_the_time_is_twice_the_chains():
    short, long = (lab.experiment(seconds=seconds).chains for seconds in (10, 20))
    assert long == pytest.approx(2 * short, rel=1e-3) and short > 50_000
    assert lab.experiment(problem="net", seconds=10).chains < short / 20


@pytest.mark.parametrize("settings, field", [
    ({"algorithm": "lion"}, "algorithm"), ({"problem": "cubic"}, "problem"), ({"noise": "student:2"}, "noise"),
    ({"noise": "student:x"}, "noise"), ({"noise": "gauss:1"}, "noise"), ({"noise": "stable:2"}, "noise"), ({"noise": 3}, "noise"),
    ({"betas": (0.9, 1.0)}, "betas"), ({"betas": (0.9,)}, "betas"), ({"betas": 0.9}, "betas"), ({"betas": "ab"}, "betas"),
    ({"kappa": 0.5}, "kappa"), ({"kappa": float("nan")}, "kappa"), ({"convention": "keras"}, "convention"),
    ({"rule": "cubic"}, "rule"), ({"rule": "lr kappa^(1/alpha)"}, "rule"), ({"algorithm": "signsgd", "rule": "eps left"}, "rule"),
    ({"algorithm": "signsgd", "problem": "net"}, "algorithm"), ({"algorithm": "signsgd", "noise": "skewed"}, "algorithm"),
    ({"seconds": 0}, "seconds"), ({"seconds": float("inf")}, "seconds"), ({"chains": 3}, "chains"), ({"seed": -1}, "seed"),
    ({"beta": 1}, "setting"),
])
def test_what_cannot_be_measured_is_refused_by_name(settings, field):
    with pytest.raises(FieldError) as error:
        lab.experiment(**settings)
    assert error.value.field == field


def test_rmsprop_takes_the_second_of_two_betas_and_signsgd_none():
    assert lab.experiment(algorithm="rmsprop", betas=(0.9, 0.95)).betas == (0.95,)
    assert lab.experiment(algorithm="signsgd", betas=(0.9, 0.95)).betas == ()


@pytest.mark.parametrize("rule", [rule for rule in lab.RULES if rule != lab.RIGHT])
def test_wrong_rules_agree_with_the_right_one_at_the_base_alone(rule):
    noise = "stable:1.5" if "alpha" in rule else "gauss"
    made = lab.experiment(algorithm="adamw", rule=rule, noise=noise, betas=(0.95, 0.99))
    assert made.constants(made.base_step) == pytest.approx(made.limit)
    assert made.constants(4 * made.base_step) != pytest.approx(made.limit)


def test_wrong_rules_are_what_their_names_say():
    def raw(rule, h):  # lr, eps, 1 - beta2, weight decay of torch at step h, sigma being what s0 = sigma lr needs
        made = lab.experiment(algorithm="adamw", rule=rule, betas=(0.95, 0.99))
        at = made.constants(h)
        return at.lr * h**0.5, at.e0 / h**0.5, at.c2 * h, at.lam0 * h**0.5

    h = lab.experiment(betas=(0.95, 0.99)).base_step
    lr, eps, forgotten, decay = raw("square root", h)
    assert raw("square root", 4 * h) == pytest.approx((2 * lr, eps / 2, 4 * forgotten, 2 * decay))
    assert raw("linear lr", 4 * h) == pytest.approx((4 * lr, eps / 2, 4 * forgotten, 2 * decay))
    assert raw("eps left", 4 * h) == pytest.approx((2 * lr, eps, 4 * forgotten, 2 * decay))
    assert raw("betas left", 4 * h) == pytest.approx((2 * lr, eps / 2, forgotten, 2 * decay))
    assert raw("unscaled", 4 * h) == pytest.approx((lr, eps, forgotten, decay))
