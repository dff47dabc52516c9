"""The rival rules against their own formulas, in numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.rules import FAMILIES, FieldError, ParameterGroup, TrainingConfig
from sqrtscale.rules.alternatives import RULES, alternatives, surge

RUN = {"schedule": "cosine", "min_lr": 1e-5, "milestones": (800, 1600), "gamma_per_step": 0.99, "ema_decay": 0.999,
       "clip_norm": 1.0, "eval_interval": 40}


def by_name(*arguments, **options):
    return {found.name: found for found in alternatives(*arguments, **options)}


# name -> factor on lr at kappa = 4, the decay of v, warm-up steps of 200, by hand from each source
EXPECTED = {"unscaled": (1, 0.99, 50), "linear lr": (4, 0.99, 50), "sqrt lr": (2, 0.99, 50), "half-life": (1, 0.99**4, 50),
            "legw": (2, 0.99, 200), "surge": (5 / 4, 0.99, 50)}  # b = B: (sqrt 4 + sqrt 1/4) / (1 + 1)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_rule_for_every_family(name):
    fields = FAMILIES[name].fields
    decay = next((field for field in ("beta2", "alpha") if field in fields), None)
    config = TrainingConfig(name, 256, {"lr": 3e-4} | ({decay: 0.99} if decay else {}), 4000, 200, RUN,
                            (ParameterGroup("head", {"lr": 1e-2}), ParameterGroup("rest", {"eps": 1e-3} if decay else {})))
    found = by_name(config, 1024, noise_scale=1024)
    assert list(found) == [rule for rule in EXPECTED if decay or rule != "half-life"]
    for rule, (factor, beta, warmup) in EXPECTED.items():
        if rule not in found:
            continue
        moved = found[rule].config
        assert (moved.optimizer, moved.batch_size, moved.total_steps, moved.warmup_steps) == (name, 1024, 1000, warmup)
        expected = dict(config.hyperparameters) | {"lr": pytest.approx(3e-4 * factor)}
        assert dict(moved.hyperparameters) == expected | ({decay: pytest.approx(beta)} if decay else {}), rule
        assert dict(moved.run) == {"schedule": "cosine", "min_lr": pytest.approx(1e-5 * factor), "milestones": (200, 400),
                                   "gamma_per_step": pytest.approx(0.99**4), "ema_decay": 0.999, "clip_norm": 1.0,
                                   "eval_interval": 10}
        assert dict(moved.groups[0].values) == {"lr": pytest.approx(1e-2 * factor)}
        assert dict(moved.groups[1].values) == dict(config.groups[1].values)


def test_a_groups_own_second_moment_keeps_its_half_life_too():
    config = TrainingConfig("adam", 8, groups=(ParameterGroup("head", {"beta2": 0.9, "lr": 0.1}),))
    head = by_name(config, 32)["half-life"].config.groups[0].values
    assert dict(head) == {"beta2": pytest.approx(0.9**4), "lr": 0.1}


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(1, 1e6))
def test_surge_peaks_at_the_noise_scale_and_is_sqrt_far_below(base, target, noise):
    at_peak = surge(base, noise, noise)
    assert surge(base, target, noise) <= at_peak * (1 + 1e-12)
    assert surge(base, target, noise) * surge(target, base, noise) == pytest.approx(1)
    assert surge(base, target, 1e13) == pytest.approx(math.sqrt(target / base), rel=1e-6)
    assert surge(base, target, 1e-7) == pytest.approx(math.sqrt(base / target), rel=1e-6)  # beyond it the best lr falls


def test_surge_needs_a_noise_scale():
    config = TrainingConfig("adam", 8)
    assert "surge" not in by_name(config, 64) and "surge" in by_name(config, 64, noise_scale=100)
    for wrong in (0, -1, math.nan, math.inf, "many", True):
        with pytest.raises(FieldError, match=r"^noise_scale = .* is not a noise scale: give a finite number above 0"):
            alternatives(config, 64, noise_scale=wrong)


def test_legw_only_where_its_warm_up_fits():
    assert by_name(TrainingConfig("adam", 8, {}, 800, 100), 64)["legw"].config.warmup_steps == 100
    assert "legw" not in by_name(TrainingConfig("adam", 8, {}, 799, 101), 64)
    share = TrainingConfig("adam", 8, {}, 800, run={"warmup_fraction": 0.1})
    assert by_name(share, 64)["legw"].config.run["warmup_fraction"] == pytest.approx(0.8)
    assert "legw" not in by_name(share, 96) and by_name(share, 96)["unscaled"].config.run["warmup_fraction"] == 0.1
    smaller = by_name(TrainingConfig("adam", 64, {}, 100, 10), 8)["legw"].config
    assert smaller.of_the_run() == {"total_steps": 800, "warmup_steps": 10}


def test_at_the_base_batch_all_rules_agree():
    config = TrainingConfig("adamw", 256, {}, 100, 10, RUN)
    assert all(found.config == config for found in alternatives(config, 256, noise_scale=1000))


def test_impossible_targets_are_refused():
    with pytest.raises(FieldError, match="target_batch = 0 is not allowed"):
        alternatives(TrainingConfig("adam", 8), 0)
    with pytest.raises(FieldError, match="total_steps = 3 has no scaled value"):
        alternatives(TrainingConfig("adam", 8, {}, 3), 64)
    with pytest.raises(FieldError, match=r"lr = 1e\+300 leaves the range of floating-point numbers, 1e\+12 times"):
        alternatives(TrainingConfig("adam", 1, {"lr": 1e300}), 10**12)


def test_every_rule_says_what_and_from_where():
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.label and rule.idea.endswith(".") and rule.source
