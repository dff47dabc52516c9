"""A torch.optim optimizer moved to another batch: against sqrtscale.scale, against torch's own next step, and by simulation."""

import copy
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rules.updates import STEPS
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transfer.optimized import CASES, advance, assert_same, flat, trained

import sqrtscale
from sqrtscale.rules import FieldError, TrainingConfig, scale
from sqrtscale.transfer.optimizer import ema_decay, transfer_optimizer_
from sqrtscale.transfer.optimizer_move import batch_ratio

SECOND = ("exp_avg_sq", "max_exp_avg_sq", "square_avg")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("base, target", [(256, 1024), (96, 256), (1024, 256)])
@pytest.mark.parametrize("form", ["linear", "half-life"])
@pytest.mark.parametrize("momentum_form", ["kept", "scaled"])
def test_groups_are_exactly_what_scale_says(case, base, target, form, momentum_form):
    _, optimizer = trained(case, 2)
    before = dict(optimizer.param_groups[0])
    before["beta1"], before["beta2"] = before.get("betas", (None, None))
    family = CASES[case][2]
    fields = TrainingConfig(family, base).hyperparameters
    expected = scale(TrainingConfig(family, base, {name: before[name] for name in fields}), target, form, momentum_form).config
    transfer_optimizer_(optimizer, target / base, form, momentum_form)
    after = dict(optimizer.param_groups[0])
    after["beta1"], after["beta2"] = after.get("betas", (None, None))
    assert {name: after[name] for name in fields} == dict(expected.hyperparameters)
    moved = {*fields, "betas", "beta1", "beta2"}
    assert all(after[key] is before[key] for key in before if key not in moved)


@pytest.mark.parametrize("name", ["NAdam", "RAdam"])
def test_a_decoupled_decay_moves_as_that_of_adamw(name):
    optimizer = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(2))], weight_decay=0.1, decoupled_weight_decay=True)
    transfer_optimizer_(optimizer, 4)
    assert optimizer.param_groups[0]["weight_decay"] == 0.2


@pytest.mark.parametrize("case", CASES)
def test_state_moves_as_documented(case):
    _, optimizer = trained(case)
    before = copy.deepcopy(optimizer.state_dict()["state"])
    transfer_optimizer_(optimizer, 4, momentum_form="scaled")
    for key, entry in optimizer.state_dict()["state"].items():
        old = before[key]
        assert set(entry) == set(old)
        centre = old["grad_avg"] ** 2 if "grad_avg" in old else 0
        for name in SECOND:
            if name in old:
                torch.testing.assert_close(entry[name] - centre, (old[name] - centre) / 4)
        for name in ("exp_avg", "grad_avg"):
            if name in old:
                assert torch.equal(entry[name], old[name])
        if "step" in old:
            assert entry["step"] == 5 and entry["step"].dtype == old["step"].dtype
        if "momentum_buffer" in old:  # (1 - mu) / (1 - mu') = 1 / kappa, and sqrt(kappa) for g / sqrt(v)
            torch.testing.assert_close(entry["momentum_buffer"], old["momentum_buffer"] / (4 if case == "sgd" else 2))


NUMPY = {
    "exp_avg": "m",
    "exp_avg_sq": "v",
    "max_exp_avg_sq": "v_max",
    "square_avg": "v",
    "grad_avg": "a",
    "momentum_buffer": "b",
    "mu_product": "mu_product",
}
STEP_OF = {"adam, decoupled": "adamw", "rmsprop, momentum": "rmsprop", "rmsprop, centered": "rmsprop_centered"}


@pytest.mark.parametrize("kappa", [4, 0.25])
@pytest.mark.parametrize("case", [case for case in CASES if case not in ("adamw, amsgrad", "sgd")])
def test_the_next_step_is_the_one_computed_by_hand(case, kappa):
    """The state divided and the hyperparameters scaled here, then one step of the NumPy optimizers."""
    (weights, _), optimizer = trained(case)
    old = {name: value.numpy().copy() for name, value in optimizer.state[weights].items()}
    group, family = optimizer.param_groups[0], CASES[case][2]
    values = {**group, "beta1": group.get("betas", [0])[0], "beta2": group.get("betas", [0, 0])[1]}
    config = TrainingConfig(family, 64, {name: values[name] for name in TrainingConfig(family, 64).hyperparameters})
    h = dict(scale(config, int(64 * kappa)).config.hyperparameters)
    centre = old.get("grad_avg", 0) ** 2
    state = {NUMPY[name]: value for name, value in old.items() if name != "step"}
    state |= {name: centre + (state[name] - centre) / kappa for name in ("v", "v_max") if name in state}
    if "b" in state:
        state["b"] = state["b"] * math.sqrt(kappa)  # g / sqrt(v), with g kept and momentum too
    if "mu_product" in state:
        warmed_up = state["mu_product"] / values["beta1"] ** 20
        state["mu_product"] = h["beta1"] ** (20 / kappa) * warmed_up ** (1 / kappa)
    gradient = np.linspace(-1, 1, 6).reshape(3, 2)
    step = STEPS[STEP_OF.get(case, case)]
    expected = step(weights.detach().numpy().copy(), gradient, state, h, 20 / kappa + 1)
    transfer_optimizer_(optimizer, kappa)
    weights.grad = torch.tensor(gradient)
    optimizer.step()
    np.testing.assert_allclose(weights.detach().numpy(), expected, rtol=1e-6, atol=1e-9)


def test_the_next_step_of_sgd():
    (weights, _), optimizer = trained("sgd", lr=0.01, weight_decay=0.0, nesterov=False)
    buffer, before = optimizer.state[weights]["momentum_buffer"].clone(), weights.detach().clone()
    transfer_optimizer_(optimizer, 4, momentum_form="scaled")  # momentum 0.9 -> 0.6, lr by kappa (1 - mu') / (1 - mu)
    weights.grad = torch.ones_like(weights)
    optimizer.step()
    torch.testing.assert_close(weights.detach(), before - 0.16 * (0.6 * buffer / 4 + 1))


kappas = st.one_of(st.sampled_from([2, 4, 8, 0.5, 0.125, 1 / 3]), st.fractions(Fraction(1, 9), 9, max_denominator=50))


@given(st.sampled_from(sorted(CASES)), kappas, st.sampled_from(["kept", "scaled"]), st.booleans())
def test_there_and_back_is_where_it_was(case, kappa, momentum_form, with_signal):
    parameters, optimizer = trained(case, 7)
    known = with_signal and case.startswith(("adam", "nadam", "radam"))
    signal = {parameters[0]: 0.01, parameters[1]: torch.full((4,), 0.05)} if known else None
    before = copy.deepcopy(flat(optimizer))
    try:
        transfer_optimizer_(optimizer, kappa, "half-life", momentum_form, signal)
        transfer_optimizer_(optimizer, 1 / Fraction(batch_ratio(kappa)), "half-life", momentum_form, signal)
    except FieldError as error:  # a momentum of 0.9 scaled up by more than 10, or so near to 1 that it rounds to it
        assert "momentum" in str(error) or "beta" in str(error)
        return
    assert_same(flat(optimizer), before, rtol=1e-6, atol=1e-12)


def test_signal_is_not_divided():
    (weights, biases), optimizer = trained("adam")
    v, v2 = (optimizer.state[p]["exp_avg_sq"].clone() for p in (weights, biases))
    signal = torch.linspace(0, 2, 6).view(3, 2) * v.mean()
    transfer_optimizer_(optimizer, 4, signal={weights: signal})
    expected = torch.where(signal < v, signal + (v - signal) / 4, v)
    torch.testing.assert_close(optimizer.state[weights]["exp_avg_sq"], expected)
    torch.testing.assert_close(optimizer.state[biases]["exp_avg_sq"], v2 / 4)


def test_a_buffer_over_a_root_with_signal_follows_that_root():
    (weights, _), optimizer = trained("rmsprop, momentum")
    old = {name: value.clone() for name, value in optimizer.state[weights].items()}
    transfer_optimizer_(optimizer, 4, signal={weights: 0.01})
    new = optimizer.state[weights]
    gradient, before = (entry["momentum_buffer"] * entry["square_avg"].sqrt() for entry in (new, old))
    torch.testing.assert_close(gradient, before)


def test_a_centered_root_never_goes_below_zero():
    """With v / kappa it would: the squared mean is larger than that in some coordinates."""
    weights = torch.nn.Parameter(torch.zeros(2000))
    optimizer = torch.optim.RMSprop([weights], alpha=0.9, centered=True)
    advance(optimizer, 50)
    entry = optimizer.state[weights]
    assert (entry["square_avg"] / 8 < entry["grad_avg"] ** 2).any()
    transfer_optimizer_(optimizer, 8)
    assert (entry["square_avg"] > entry["grad_avg"] ** 2).all()
    advance(optimizer, 3)
    assert weights.isfinite().all()


def test_tensors_stay_the_same_tensors():
    weights = torch.nn.Parameter(torch.ones(3))
    rate = torch.tensor(1e-3, dtype=torch.float64)
    second_group = {"params": [torch.nn.Parameter(torch.ones(1))], "betas": (0.8, 0.99)}
    optimizer = torch.optim.Adam([{"params": [weights]}, second_group], lr=rate)
    advance(optimizer, 3)
    entry = optimizer.state[weights]
    places = {name: value.data_ptr() for name, value in entry.items()}
    transfer_optimizer_(optimizer, 4)
    assert [group["lr"] for group in optimizer.param_groups] == [rate, rate] and rate.item() == 2e-3
    assert optimizer.param_groups[0]["lr"] is rate and optimizer.param_groups[1]["betas"] == (0.2, 0.96)
    assert {name: value.data_ptr() for name, value in entry.items()} == places and entry["step"] == 0.75


def test_an_optimizer_that_has_not_stepped_moves_its_groups_only():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))])
    transfer_optimizer_(optimizer, 4)
    assert optimizer.param_groups[0]["lr"] == 2e-3 and not optimizer.state


def test_warm_up_from_zero_stays_at_zero_and_goes_on():
    weights = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weights], lr=1e-3)
    lr_scheduler.LambdaLR(optimizer, lambda k: k / 100)
    transfer_optimizer_(optimizer, 4)
    assert optimizer.param_groups[0]["lr"] == 0 and optimizer.param_groups[0]["initial_lr"] == 2e-3


def lrs(optimizer, scheduler, steps):
    rates = []
    for _ in range(steps):
        advance(optimizer, 1)
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_a_scheduler_that_multiplies_goes_on_by_itself():
    _, optimizer = trained("adamw", 1)
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.99)
    base = lrs(optimizer, scheduler, 40)
    transfer_optimizer_(optimizer, 4)
    scheduler.gamma **= 4
    assert lrs(optimizer, scheduler, 3) == pytest.approx([2 * base[-1] * 0.99**k for k in (4, 8, 12)])


@pytest.mark.parametrize("seen", [0, 40, 42])
def test_a_scheduler_made_anew_is_the_same_function_of_samples(seen):
    def shape(k):
        return min(1, (k + 1) / 20) * math.cos(k / 200)

    _, optimizer = trained("adamw", 1)
    base = lrs(optimizer, lr_scheduler.LambdaLR(optimizer, shape), seen)
    transfer_optimizer_(optimizer, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler = lr_scheduler.LambdaLR(optimizer, lambda k: shape(4 * k), last_epoch=round(seen / 4) - 1)
        if base and seen % 4 == 0:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(2 * base[-1])
        start = 4 * round(seen / 4)
        assert lrs(optimizer, scheduler, 3) == pytest.approx([2 * 3e-4 * shape(start + k) for k in (4, 8, 12)])


def test_what_a_one_cycle_schedule_keeps_in_the_groups_moves_too():
    _, optimizer = trained("adamw", 1)
    lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=100)
    before = dict(optimizer.param_groups[0])
    transfer_optimizer_(optimizer, 4)
    after = optimizer.param_groups[0]
    for name in ("lr", "initial_lr", "max_lr", "min_lr"):
        assert after[name] == 2 * before[name]
    assert after["max_momentum"] == pytest.approx(1 - 4 * 0.05) and after["base_momentum"] == pytest.approx(1 - 4 * 0.15)


def test_ema_decay_and_averaged_model():
    assert ema_decay(0.999, 4) == 0.999**4 and ema_decay(0.999, 0.5) == 0.999**0.5
    with pytest.raises(FieldError, match=r"ema_decay = 1.2 is not a factor per step"):
        ema_decay(1.2, 4)
    model = torch.nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    averaged.update_parameters(model)
    averaged.multi_avg_fn = get_ema_multi_avg_fn(ema_decay(0.9, 4))
    with torch.no_grad():
        before = averaged.module.weight.clone()
        model.weight += 1
    averaged.update_parameters(model)
    torch.testing.assert_close(averaged.module.weight - before, torch.full((1, 1), 1 - 0.9**4))


@pytest.mark.parametrize(
    "kappa, ratio",
    [
        (4, 4),
        (0.25, Fraction(1, 4)),
        (1 / 3, Fraction(1, 3)),
        (1e-6, Fraction(1, 10**6)),
        (Fraction(7, 3), Fraction(7, 3)),
        (1000 / 768, Fraction(125, 96)),
    ],
)
def test_kappa_is_a_ratio_of_batches(kappa, ratio):
    assert batch_ratio(kappa) == ratio


@pytest.mark.parametrize("kappa", [0, -1, math.nan, math.inf, "4", None, True, 1e7, 1e-7])
def test_a_kappa_that_is_none(kappa):
    with pytest.raises(FieldError, match=r"kappa = .* is not allowed: give new batch / old batch"):
        transfer_optimizer_(torch.optim.Adam([torch.nn.Parameter(torch.ones(1))]), kappa)


class Mine(torch.optim.Adam):
    """Somebody's own Adam, of which nothing is known."""


@pytest.mark.parametrize(
    "made, message",
    [
        (torch.optim.Adamax, r"optimizer = 'Adamax' has no derived rule \(its denominator is a maximum"),
        (torch.optim.Adagrad, "optimizer = 'Adagrad' has no derived rule"),
        (torch.optim.ASGD, "optimizer = 'ASGD' cannot be moved: only torch.optim's own Adam, AdamW, NAdam, RAdam, RMSprop, SGD"),
        (Mine, "optimizer = 'Mine' cannot be moved"),
        (list, "optimizer = 'list' is no torch.optim optimizer"),
    ],
)
def test_other_optimizers_are_refused_with_what_is_known(made, message):
    with pytest.raises(FieldError, match=message):
        transfer_optimizer_(made([torch.nn.Parameter(torch.ones(1))]), 4)


@pytest.mark.parametrize(
    "spoil, options, message",
    [
        (lambda o: o.param_groups[1].update(betas=(0.5, 0.999)), {}, "beta1 = 0.5 has no scaled value: 1 - kappa"),
        (lambda o: o.param_groups[1].update(lr=math.nan), {}, "lr = nan is not allowed"),
        (lambda o: o.state[o.param_groups[1]["params"][0]].update(exp_inf=1), {}, "exp_inf is unknown"),
        (lambda o: o.state[o.param_groups[1]["params"][0]].pop("step"), {}, "it has no step"),
        (lambda o: o.state[o.param_groups[1]["params"][0]].update(exp_avg_sq=None), {}, "exp_avg_sq holds no real numbers"),
        (lambda o: None, {"decay_form": "cubic"}, "decay_form = 'cubic' is not known"),
        (lambda o: None, {"momentum_form": "gone"}, "momentum_form = 'gone' is not known"),
        (lambda o: None, {"signal": {1: 0.5}}, "signal = '1 keys' does not fit"),
    ],
)
def test_nothing_changes_when_anything_is_refused(spoil, options, message):
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
    optimizer = torch.optim.AdamW([{"params": [p]} for p in parameters], lr=1e-3)
    advance(optimizer, 3)
    spoil(optimizer)
    before = copy.deepcopy(flat(optimizer))
    with pytest.raises(FieldError, match=message):
        transfer_optimizer_(optimizer, 4, **options)
    assert str(flat(optimizer)) == str(before)


@pytest.mark.parametrize(
    "case, signal", [("adam", -1.0), ("adam", torch.ones(5)), ("adam", math.inf), ("sgd", 0.1), ("rmsprop, centered", 0.1)]
)
def test_a_signal_that_does_not_fit(case, signal):
    (weights, _), optimizer = trained(case)
    with pytest.raises(FieldError, match=r"signal = .*(does not fit|is not used here)"):
        transfer_optimizer_(optimizer, 2, signal={weights: signal})


def test_the_name_in_the_package_itself_is_this_function():
    assert sqrtscale.transfer_optimizer_ is transfer_optimizer_ and "transfer_optimizer_" in sqrtscale.__all__
    with pytest.raises(AttributeError, match="transfer_everything"):
        _ = sqrtscale.transfer_everything


def continuation(state, beta2, kappa, chains=3000, steps=40):
    """Distance and spread of torch's own Adam after the switch, over the base run's at equal samples; 1 is perfect."""
    generator = torch.Generator().manual_seed(3)

    def noise():
        half = torch.randn(chains // 2, generator=generator, dtype=torch.float64)
        return torch.cat([half, -half])  # the odd part of the noise drops out of the mean

    weights = torch.nn.Parameter(torch.zeros(chains, dtype=torch.float64))
    base = torch.optim.Adam([weights], lr=1e-3, betas=(0.9, beta2))
    for _ in range(round(1 / (1 - beta2))):
        weights.grad = 0.05 + noise()
        base.step()
    weights.data.zero_()
    target_weights = torch.nn.Parameter(weights.detach().clone())
    target = torch.optim.Adam([target_weights])
    target.load_state_dict(copy.deepcopy(base.state_dict()))
    transfer_optimizer_(target, kappa)
    if state == "kept":
        target.state[target_weights].update(copy.deepcopy(base.state[weights]))
    if state == "zeroed":
        target.state.clear()
    for _ in range(steps):
        draws = [noise() for _ in range(kappa)]
        for draw in draws:
            weights.grad = 0.05 + draw
            base.step()
        target_weights.grad = 0.05 + sum(draws) / kappa
        target.step()
    return (target_weights.mean() / weights.mean()).item(), (target_weights.std() / weights.std()).item()


@pytest.mark.parametrize("beta2", [0.99, 0.999])
def test_a_moved_state_goes_on_as_the_base_run_did_and_others_do_not(beta2):
    assert continuation("moved", beta2, 4) == pytest.approx((1, 1), abs=0.05)
    distance, spread = continuation("kept", beta2, 4)
    assert distance < 0.85 and spread < 0.85
    if beta2 == 0.999:  # a short beta2 has been learnt anew by then
        assert continuation("zeroed", beta2, 4, steps=10)[1] > 1.1
