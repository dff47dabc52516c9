"""The schedule against torch.optim.lr_scheduler, and both runs of a transfer on one clock of samples."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as torch_schedules

from sqrtscale.rules import FAMILIES, FieldError, TrainingConfig, scale
from sqrtscale.rules.clock import curve, lr_factor, warmup_length

LR, N, W, D = 0.3, 60, 12, 20
FIRST = 1e-12  # torch refuses a warm-up from exactly 0


def after_warmup(optimizer, then):
    warm = torch_schedules.LinearLR(optimizer, FIRST, total_iters=W)
    return torch_schedules.SequentialLR(optimizer, [warm, then], milestones=[W])


# name -> (our fields, torch's schedule of an optimizer)
TORCH = {
    "none": ({}, lambda o: torch_schedules.ConstantLR(o, 1.0)),
    "constant": ({"schedule": "constant", "warmup_steps": W},
                 lambda o: torch_schedules.LinearLR(o, FIRST, total_iters=W)),
    "linear": ({"schedule": "linear"}, lambda o: torch_schedules.PolynomialLR(o, N, power=1.0)),
    "linear to min_lr": ({"schedule": "linear", "min_lr": 0.03}, lambda o: torch_schedules.LinearLR(o, 1.0, 0.1, total_iters=N)),
    "linear, warm-up": ({"schedule": "linear", "warmup_steps": W},
                        lambda o: after_warmup(o, torch_schedules.PolynomialLR(o, N - W, power=1.0))),
    "cosine": ({"schedule": "cosine", "min_lr": 0.01}, lambda o: torch_schedules.CosineAnnealingLR(o, N, eta_min=0.01)),
    "cosine, warm-up": ({"schedule": "cosine", "warmup_fraction": W / N},
                        lambda o: after_warmup(o, torch_schedules.CosineAnnealingLR(o, N - W))),
    "wsd": ({"schedule": "wsd", "decay_steps": D, "min_lr": 0.03}, lambda o: torch_schedules.SequentialLR(
        o, [torch_schedules.ConstantLR(o, 1.0), torch_schedules.LinearLR(o, 1.0, 0.1, total_iters=D)], milestones=[N - D])),
    "exponential": ({"schedule": "exponential", "gamma_per_step": 0.97}, lambda o: torch_schedules.ExponentialLR(o, 0.97)),
    "exponential, warm-up": ({"schedule": "exponential", "gamma_per_step": 0.9, "warmup_steps": W},
                             lambda o: after_warmup(o, torch_schedules.ExponentialLR(o, 0.9))),
    "milestones": ({"schedule": "milestones", "milestones": (10, 25, 50), "milestone_factor": 0.2},
                   lambda o: torch_schedules.MultiStepLR(o, [10, 25, 50], 0.2)),
}


@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize("name", TORCH)
def test_lr_is_torchs_at_every_step(name):
    fields, schedule = TORCH[name]
    config = TrainingConfig("sgd", 8, {"lr": LR}, run={"total_steps": N, **fields})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = schedule(optimizer)
    for k in range(N):
        assert LR * lr_factor(config, k) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-9), k
        optimizer.step()
        scheduler.step()


@given(st.integers(1, 1000), st.integers(0, 5000))
def test_inverse_sqrt_is_that_of_the_transformer(warmup, k):
    """min(k^-1/2, k W^-3/2), Vaswani et al. 2017, equation 3, over its peak W^-1/2."""
    config = TrainingConfig("adam", 8, run={"schedule": "inverse-sqrt", "warmup_steps": warmup})
    expected = min(k**-0.5, k * warmup**-1.5) * warmup**0.5 if k else 0.0
    assert lr_factor(config, k) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("fields, floor", [
    ({"schedule": "exponential", "gamma_per_step": 0.5}, 0.1),
    ({"schedule": "milestones", "milestones": (5, 10, 15), "milestone_factor": 0.1}, 0.1),
    ({"schedule": "inverse-sqrt", "warmup_steps": 1}, 0.1),
    ({"schedule": "constant"}, 1.0),
    ({"schedule": "wsd", "decay_steps": 0}, 0.1),
    ({"schedule": "linear", "warmup_steps": N}, 0.1),
])
def test_no_schedule_goes_below_min_lr_or_fails_at_its_end(fields, floor):
    config = TrainingConfig("adam", 8, {"lr": LR}, run={"total_steps": N, "min_lr": 0.03, **fields})
    assert lr_factor(config, 200) == pytest.approx(floor)
    assert all(0 <= lr_factor(config, k) <= 1 for k in range(200))


def test_a_decay_that_would_begin_in_the_warm_up_begins_at_its_end():
    config = TrainingConfig("adam", 8, run={"schedule": "wsd", "total_steps": 60, "warmup_steps": 40, "decay_steps": 50})
    assert [lr_factor(config, k) for k in (20, 40, 50, 60)] == [0.5, 1.0, 0.5, 0.0]


SHAPES = st.sampled_from([
    {"schedule": "constant"}, {"schedule": "linear"}, {"schedule": "cosine"}, {"schedule": "wsd", "decay_steps": 1200},
    {"schedule": "inverse-sqrt"}, {"schedule": "exponential", "gamma_per_step": 0.999},
    {"schedule": "milestones", "milestones": (600, 1800, 3000), "milestone_factor": 0.3}])


@st.composite
def scheduled(draw):
    """A configuration with a schedule whose lengths are multiples of 60, up to 3600 steps."""
    shape, total = draw(SHAPES), 60 * draw(st.integers(20, 60))
    warmup = draw(st.sampled_from([{"warmup_steps": 120}, {"warmup_fraction": 0.1},
                                   {"warmup_steps": 0, "warmup_fraction": 0.05}]))
    run = {"total_steps": total, **shape, **warmup, "min_lr": draw(st.sampled_from([0.0, 1e-4]))}
    return TrainingConfig(draw(st.sampled_from(sorted(FAMILIES))), 60, {"lr": 0.001}, run=run)


@given(scheduled(), st.sampled_from([1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60]), st.integers(0, 4000), st.booleans())
def test_both_runs_are_on_one_clock_where_the_batches_divide(config, kappa, k, down):
    """Step k of the base, step k / kappa of the scaled run; to a smaller batch the other way round."""
    target = 60 // kappa if down else 60 * kappa
    scaled = scale(config, target, "half-life").config
    there = k * kappa if down else k / kappa
    assume(scaled.run["schedule"] != "milestones" or k not in config.run["milestones"])  # the step of a jump itself
    assert lr_factor(scaled, there) == pytest.approx(lr_factor(config, k), rel=1e-9, abs=1e-12)


@given(scheduled(), st.integers(7, 500), st.integers(0, 3600))
def test_otherwise_they_differ_by_the_rounding_of_lengths(config, target, k):
    """No more than the schedule changes within two steps of the target batch, one for each length that was rounded.

    inverse-sqrt knows no length but the warm-up's, W, and is off by its root all along.
    """
    assume(config.run["schedule"] != "milestones")
    found = scale(config, target, "half-life").config
    kappa, near = target / 60, lr_factor(found, k * 60 / target)
    around = [lr_factor(config, max(0.0, k + shift * kappa)) for shift in (-2, -1, 0, 1, 2)]
    allowed = 1e-3
    if config.run["schedule"] == "inverse-sqrt":
        allowed += abs(math.sqrt(warmup_length(found) / (warmup_length(config) / kappa)) - 1)
    assert min(around) - allowed <= near <= max(around) + allowed


@pytest.mark.parametrize("fields, field", [
    ({"schedule": "linear"}, "total_steps"), ({"schedule": "cosine"}, "total_steps"), ({"warmup_fraction": 0.1}, "total_steps"),
    ({"schedule": "wsd", "total_steps": 9}, "decay_steps"), ({"schedule": "exponential"}, "gamma_per_step"),
    ({"schedule": "milestones"}, "milestones"), ({"schedule": "milestones", "milestones": (1,)}, "milestone_factor"),
    ({"schedule": "inverse-sqrt"}, "warmup_steps"),
])
def test_a_shape_that_lacks_a_length_says_which(fields, field):
    with pytest.raises(FieldError, match=rf"^{field} = None is not (given|enough)"):
        lr_factor(TrainingConfig("adam", 8, run=fields), 5)


def test_a_curve_runs_over_all_samples():
    config = TrainingConfig("adam", 32, {"lr": LR}, N, W, {"schedule": "cosine"})
    found = curve(config, N + 1)
    assert len(curve(config)) == 200 and len(found) == N + 1
    assert [samples for samples, _ in found] == pytest.approx([32 * k for k in range(N + 1)])
    assert found[0][1] == 0 and found[-1][1] == pytest.approx(0, abs=1e-15) and max(lr for _, lr in found) == LR
    assert found[36][1] == pytest.approx(LR / 2) and math.isclose(warmup_length(config), W)  # half way down
    with pytest.raises(FieldError, match="total_steps = None is not given: curve needs it"):
        curve(TrainingConfig("adam", 32))
    with pytest.raises(FieldError, match="points = 1 is not allowed"):
        curve(config, 1)
