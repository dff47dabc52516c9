"""What is said of a calibration before it runs, held against what ``evidence`` says of curves with that noise scale."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import stored
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sqrtscale import evidence
from sqrtscale.plan import make_plan
from sqrtscale.report import markdown, reported
from sqrtscale.report.foresight import ALPHA, FUNCTIONALS, Known, Spread, foresee, learnt, newest_alike, seen_difference
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Store
from sqrtscale.tasks import TASKS, NoiseScale, task
from sqrtscale.training.events import Measured

KNOWN = NoiseScale(600, 500, 700, "measured by hand")


def curves(low: float, high: float) -> pd.DataFrame:
    """Noise and signal of the base arm on many seeds, whose ratio has about that interval: an exact signal, a noisy noise."""
    middle, half = (low + high) / 2, (high - low) / 2
    seeds = np.arange(200)
    noise = middle + np.where(seeds % 2, 1, -1) * half / 1.96 * math.sqrt(200)
    rows = [("base", seed, name, 100, value) for seed in seeds for name, value in (("noise", noise[seed]), ("signal", 1.0))]
    return pd.DataFrame(rows, columns=["arm", "seed", "metric", "samples", "value"])


def plan(target: int = 64, base: int = 8, **changed):
    config = TrainingConfig("adam", base, {"lr": 2e-3, "beta2": 0.99})
    return make_plan("digits", config, target, decay_form="half-life", **changed)


@settings(deadline=None, max_examples=40)
@given(low=st.floats(5, 1300), width=st.floats(1.01, 2), powers=st.tuples(st.integers(0, 10), st.integers(0, 10)))
def test_hopeless_is_what_the_evidence_calls_signal_and_good_what_it_calls_noise(low, width, powers):
    base, target = (2**power for power in powers)
    measured = evidence.regime(curves(low, low * width), base, target)
    known = Known(NoiseScale(measured.noise_scale, measured.low, measured.high, "simulated"), own=True)
    level = foresee(plan(target, base, samples=200_000), known).level
    assert level == {"signal": "hopeless", "noise": "good", "unclear": "doubtful"}[measured.dominated]
    assert (level == "hopeless") == bool(measured.signal)


def test_an_arm_of_another_transfer_is_a_test_where_the_rule_is_none():
    seen = foresee(plan(1024, 256, arms=["noise-aware schedule"], seeds=8), Known(KNOWN))
    assert seen.level == "another" and "gets a verdict all the same" in " ".join(seen.sentences)
    assert foresee(plan(64, arms=["noise-aware schedule"], seeds=8), Known(KNOWN)).level == "good"


def test_the_sentences_name_the_batch_the_noise_scale_and_where_it_was_measured():
    seen = foresee(plan(1024, 256), Known(KNOWN))
    assert seen.level == "hopeless" and len(seen.sentences) == 2
    assert seen.sentences[0] == ("Batch 1024 lies above this task's noise scale of about 600 samples: the result would be "
                                 "*not a test*.")
    assert "measured by hand (95% interval 500 to 700); another configuration may have another one." in seen.sentences[1]
    assert "Batch 64 lies below" in foresee(plan(64), Known(KNOWN)).sentences[0]


def test_another_configuration_is_trusted_with_half_the_tasks_noise_scale_and_its_own_with_all():
    levels = [foresee(plan(target), Known(KNOWN, own=own)).level for target in (128, 256, 512, 1024) for own in (False, True)]
    assert levels == ["good", "good", "doubtful", "good", "doubtful", "doubtful", "hopeless", "hopeless"]


def test_several_targets_are_hopeless_only_together():
    assert foresee(plan(1024, targets=[16, 1024]), Known(KNOWN)).level == "doubtful"
    assert foresee(plan(1024, 256, targets=[768, 1024], samples=200_000), Known(KNOWN)).level == "hopeless"


def test_what_is_not_known_or_too_little_is_doubtful_and_said():
    assert "is not known" in foresee(plan(), Known(None)).sentences[-1]
    for changed, words in (({"start": "scratch"}, "From scratch the signal dominates at first"),
                           ({"seeds": 1}, "1 seed can hardly tell"), ({"seeds": 2}, "2 seeds can hardly tell")):
        seen = foresee(plan(**changed), Known(KNOWN))
        assert seen.level == "doubtful" and any(words in text for text in seen.sentences)
    assert foresee(plan(start="scratch"), Known(KNOWN, own=True)).level == "good"


def test_a_decay_that_outlasts_the_run_is_named_with_its_samples():
    longest = make_plan("digits", TrainingConfig("adam", 64, {"beta2": 0.999}), 128, samples=63_872)
    seen = foresee(longest, Known(KNOWN))
    assert seen.level == "doubtful" and any("beta2 = 0.999 averages over about 64,000 samples" in text for text in seen.sentences)
    longer = make_plan("digits", TrainingConfig("adam", 64, {"beta2": 0.999}), 128, samples=64_000)
    assert not any("averages over" in text for text in foresee(longer, Known(KNOWN)).sentences)


def test_the_power_is_that_of_simulated_seeds():
    spread, random = Spread(0.02, 0.03, "nats"), np.random.default_rng(0)
    level = ALPHA / FUNCTIONALS
    difference = seen_difference(8, spread, level)
    draws = random.normal(difference, 0.02, (20_000, 8))
    beyond = (draws.mean(1) - 0.03) / (draws.std(1, ddof=1) / math.sqrt(8)) > stats.t.isf(level / FUNCTIONALS / 2, 7)
    assert beyond.mean() == pytest.approx(0.9, abs=0.01)
    seen = foresee(plan(seeds=8), Known(KNOWN, Spread(0.02, 0.03, "nats")))
    draws = random.normal(0, 0.02, (20_000, 8))
    reach = np.abs(draws.mean(1)) + stats.t.isf(ALPHA, 7) * draws.std(1, ddof=1) / math.sqrt(8)
    share = next(text for text in seen.sentences if text.startswith("8 seeds show a match within 0.03 nats in "))
    assert int(share.split(" in ")[1].partition("%")[0]) == pytest.approx(100 * (reach < 0.03).mean(), abs=1.5)
    assert seen.level == "good" and foresee(plan(seeds=3), Known(KNOWN, spread)).level == "doubtful"


@pytest.mark.parametrize("name", list(TASKS))
def test_the_defaults_of_every_task_are_good_as_far_as_the_task_knows(name):
    about = task(name)
    seen = foresee(make_plan(name, about.defaults.base, about.defaults.target_batch), Known(about.noise_scale))
    assert seen.level == "good" and about.noise_scale.low < about.noise_scale.value < about.noise_scale.high


def test_a_stored_calibration_of_the_same_configuration_is_learnt_from(home):
    store = Store.open()
    chosen = stored.plan(seeds=3)
    random = np.random.default_rng(0)
    noise = {seed: random.normal(300, 3) for seed in chosen.seeds}
    measured = [*stored.points(chosen), *(Measured("base", seed, 0, {"noise": noise[seed], "signal": 1.0}) for seed in noise)]
    id = stored.calibration(store, chosen=chosen, measured=measured)
    stored.calibration(store, chosen=stored.plan(base=TrainingConfig("adam", 8, {"lr": 1e-3})))
    stored.calibration(store, "FAILED", chosen=chosen)
    found = newest_alike(store, stored.plan(seeds=5, target=16))  # another target, and other seeds
    assert found.id == id
    known = learnt(found, store.curves(id))
    assert known.noise_scale.value == pytest.approx(np.mean(list(noise.values())))
    assert known.own and id in known.noise_scale.source
    assert "lies above this configuration's noise scale of about 300" in foresee(stored.plan(target=64, base=TrainingConfig(
        "adam", 8, {"lr": 2e-3}), targets=[512], decay_form="half-life"), known).sentences[1]
    for other in (stored.plan(start="scratch", warm_samples=None), stored.plan(size="small"), stored.plan(
            base=TrainingConfig("adam", 16, {"lr": 2e-3}))):
        assert newest_alike(store, other) is None
    store.close()


def test_without_a_measured_noise_scale_the_tasks_own_stands(home):
    store = Store.open()
    id = stored.calibration(store)
    known = learnt(store.get(id), store.curves(id))
    assert known.noise_scale == task("digits").noise_scale and not known.own
    store.close()


def test_a_target_whose_steps_would_meet_curvature_is_doubtful_and_says_how_far_one_can_go():
    # kappa lr S < (2 + 2 b) / (1 - b) with b = 0.9^kappa: 8.75 of at most 8.77 at batch 35, 9 of at most 8.68 at 36.
    near = foresee(plan(64), Known(KNOWN, sharpness=1000.0))
    assert near.level == "doubtful"
    assert "The steps bear the curvature up to kappa = 4.38 (the base is at 5.3% of its limit)" in " ".join(near.sentences)
    assert foresee(plan(64), Known(KNOWN, sharpness=100.0)).level == "good"  # 1.6 of at most 4.97 at kappa 8
    assert foresee(plan(16), Known(KNOWN, sharpness=1000.0)).level == "good"


def test_the_sharpness_of_base_is_learnt_from_a_calibration_where_it_was_measured(home):
    store = Store.open()
    chosen = stored.plan(seeds=3)
    curved = Measured("base", 0, 0, {"sharpness": 400.0, "sharpness_limit": 19_000.0})
    with_it, without = (stored.calibration(store, chosen=chosen, measured=[*stored.points(chosen), *extra])
                        for extra in ([curved], []))
    assert [learnt(store.get(id), store.curves(id)).sharpness for id in (with_it, without)] == [pytest.approx(400), None]
    said = [markdown(reported(store, store.get(id))) for id in (with_it, without)]
    assert "The steps bear the curvature up to kappa = " in said[0] and "the base is at 2.1% of its limit" in said[0]
    assert "curvature" not in said[1]
    store.close()
