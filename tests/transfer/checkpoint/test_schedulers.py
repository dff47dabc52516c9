"""A schedule after a transfer: against torch's own scheduler of the target batch, run without interruption."""

import shutil
import warnings

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler
from transfer.checkpoint.shapes import RATE, trained_run
from transfer.optimized import advance

from sqrtscale.rules import FieldError
from sqrtscale.transfer.checkpoint.transfer_file import transfer_checkpoint

TOTAL = 720


def warm_then_cosine(optimizer, kappa):
    warm = lr_scheduler.LinearLR(optimizer, 0.01, total_iters=int(72 / kappa))
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, int(648 / kappa), eta_min=optimizer.param_groups[0]["lr"] / 10)
    return lr_scheduler.SequentialLR(optimizer, [warm, cosine], [int(72 / kappa)])


SCHEDULES = {  # the same function of samples at every kappa that divides its lengths
    "LambdaLR": lambda o, kappa: lr_scheduler.LambdaLR(o, lambda k: max(0.0, 1 - kappa * k / TOTAL)),
    "CosineAnnealingLR": lambda o, kappa: lr_scheduler.CosineAnnealingLR(o, int(TOTAL / kappa), o.param_groups[0]["lr"] / 10),
    "CosineAnnealingWarmRestarts": lambda o, kappa: lr_scheduler.CosineAnnealingWarmRestarts(o, int(144 / kappa), 2),
    "LinearLR": lambda o, kappa: lr_scheduler.LinearLR(o, 0.1, total_iters=int(360 / kappa)),
    "ConstantLR": lambda o, kappa: lr_scheduler.ConstantLR(o, 0.1, total_iters=int(360 / kappa)),
    "PolynomialLR": lambda o, kappa: lr_scheduler.PolynomialLR(o, int(TOTAL / kappa), power=2),
    "StepLR": lambda o, kappa: lr_scheduler.StepLR(o, int(36 / kappa), 0.7),
    "MultiStepLR": lambda o, kappa: lr_scheduler.MultiStepLR(o, [int(m / kappa) for m in (36, 360, 360)], 0.7),
    "ExponentialLR": lambda o, kappa: lr_scheduler.ExponentialLR(o, 0.998**kappa),
    "OneCycleLR": lambda o, kappa: lr_scheduler.OneCycleLR(
        o, o.param_groups[0]["lr"], total_steps=int(TOTAL / kappa), cycle_momentum=False
    ),
    "OneCycleLR in three": lambda o, kappa: lr_scheduler.OneCycleLR(
        o, o.param_groups[0]["lr"], total_steps=int(TOTAL / kappa), cycle_momentum=False, three_phase=True, pct_start=0.25
    ),
    "SequentialLR": warm_then_cosine,
}
FROM_THE_LAST_LR = set(SCHEDULES) - {"LambdaLR", "OneCycleLR", "OneCycleLR in three"}


def rates(optimizer, scheduler, steps):
    collected = []
    for _ in range(steps):
        advance(optimizer, 1)
        scheduler.step()
        collected.append(float(optimizer.param_groups[0]["lr"]))
    return collected


def optimizer_at(kappa):
    return torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))], lr=RATE * kappa**0.5, betas=(0.99, 0.999))


def moved(folder, optimizer, scheduler, kappa, **more):
    source, out = folder / "in.pt", folder / "out.pt"
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), **more}, source)
    out.unlink(missing_ok=True)
    done = transfer_checkpoint(source, out, kappa)
    return torch.load(out, weights_only=True), done


def resumed(state, make, kappa):
    optimizer = optimizer_at(kappa)
    scheduler = make(optimizer, kappa)
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    return optimizer, scheduler


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", SCHEDULES)
@given(
    seen=st.one_of(st.sampled_from([0, 1, 71, 72, 73, 143, 144, 359, 360, 361, 719, 720]), st.integers(0, TOTAL)),
    kappa=st.sampled_from([0.5, 2, 4, 9]),
)
@example(seen=143, kappa=4)  # rounds up to the end of a cycle,
@example(seen=71, kappa=4)  # and of the warm-up
def test_a_resumed_schedule_is_the_uninterrupted_one_of_the_target(name, seen, kappa, tmp_path):
    with warnings.catch_warnings(action="ignore"):
        optimizer = optimizer_at(1)
        scheduler = SCHEDULES[name](optimizer, 1)
        rates(optimizer, scheduler, seen)
        state, done = moved(tmp_path, optimizer, scheduler, kappa)
        position = state["scheduler"]["last_epoch"]
        target = optimizer_at(kappa)
        uninterrupted = SCHEDULES[name](target, kappa)
        rates(target, uninterrupted, position)
        resumed_optimizer, resumed_scheduler = resumed(state, SCHEDULES[name], kappa)
        if name in FROM_THE_LAST_LR:
            assert resumed_optimizer.param_groups[0]["lr"] == pytest.approx(target.param_groups[0]["lr"], rel=1e-6, abs=1e-15)
        steps = min(20, int(TOTAL / kappa) - position)
        resumed_rates = rates(resumed_optimizer, resumed_scheduler, steps)
        assert resumed_rates == pytest.approx(rates(target, uninterrupted, steps), rel=1e-6, abs=1e-15)
    assert abs(position - seen / kappa) <= 0.5
    (change,) = done.schedulers
    assert change.kind == name.partition(" ")[0]
    if seen % kappa:
        assert f"last_epoch = {seen} / {kappa} = " in change.note and f"is rounded to {position}" in change.note


def test_the_parts_of_a_sequence_count_from_its_rounded_milestones(tmp_path):
    """Step 76 is 9.5 at kappa 8, rounded to 10: one step after the milestone 72 / 8 = 9, though 4 / 8 by itself rounds to 0."""
    optimizer = optimizer_at(1)
    scheduler = warm_then_cosine(optimizer, 1)
    with warnings.catch_warnings(action="ignore"):
        rates(optimizer, scheduler, 76)
        state, _ = moved(tmp_path, optimizer, scheduler, 8)
        target = optimizer_at(8)
        uninterrupted = warm_then_cosine(target, 8)
        rates(target, uninterrupted, 10)
        assert rates(*resumed(state, warm_then_cosine, 8), 20) == pytest.approx(rates(target, uninterrupted, 20), rel=1e-9)
    assert [part["last_epoch"] for part in state["scheduler"]["_schedulers"]][1] == 1


def linear(kappa):
    return lambda o: lr_scheduler.LambdaLR(o, lambda k: max(0, 1 - kappa * k / 1000))


def trained(steps=100, schedule=None, make=torch.optim.AdamW, **values):
    return trained_run(make, values or {"lr": 1e-3, "betas": (0.9, 0.95)}, steps, schedule or linear(1))


def test_after_100_steps_at_kappa_4_the_next_lr_is_that_of_step_26(tmp_path):
    """lr 2e-3 falling to 0 over 250 steps: 2e-3 * (1 - 26 / 250) = 0.001792."""
    parameters, optimizer, scheduler = trained()
    folder = tmp_path / "checkpoint-100"
    folder.mkdir()
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    torch.save(scheduler.state_dict(), folder / "scheduler.pt")
    done = transfer_checkpoint(folder / "optimizer.pt", tmp_path / "optimizer.pt", 4)
    (note,) = (note for note in done.notes if "scheduler.pt" in note)
    assert "make it anew with its lengths in steps / 4 and last_epoch = 24 (100 / 4 - 1)" in note and "LambdaLR" in note
    transfer_checkpoint(folder / "scheduler.pt", tmp_path / "scheduler.pt", 4)
    for way in ("moved", "made anew"):
        resumed_optimizer = torch.optim.AdamW([torch.nn.Parameter(p.detach().clone()) for p in parameters])
        if way == "moved":
            resumed_scheduler = linear(4)(resumed_optimizer)
            resumed_scheduler.load_state_dict(torch.load(tmp_path / "scheduler.pt", weights_only=True))
            resumed_optimizer.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
        else:
            resumed_optimizer.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
            resumed_scheduler = lr_scheduler.LambdaLR(resumed_optimizer, lambda k: max(0, 1 - 4 * k / 1000), last_epoch=24)
        assert resumed_optimizer.param_groups[0]["lr"] == pytest.approx(0.0018)
        assert rates(resumed_optimizer, resumed_scheduler, 1) == pytest.approx([0.001792])


def test_a_scheduler_without_a_file_beside_it_gets_its_note_too(tmp_path):
    torch.save(trained()[1].state_dict(), tmp_path / "in.pt")
    done = transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4)
    assert done.notes == (
        "a learning rate scheduler counts steps and is not in this file: make it anew with its lengths in "
        "steps / 4 and last_epoch = 24 (100 / 4 - 1)",
    )


def test_rounding_is_said_where_the_steps_do_not_divide(tmp_path):
    torch.save(trained(102)[1].state_dict(), tmp_path / "in.pt")
    done = transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4)
    assert "last_epoch = 25 (102 / 4 - 1 = 24.5, rounded)" in done.notes[0]


def test_a_scheduler_alone_moves_by_what_stands_beside_it(tmp_path):
    _, optimizer, scheduler = trained(100, make=torch.optim.SGD, lr=1e-3, momentum=0.9)
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    done = transfer_checkpoint(tmp_path / "scheduler.pt", tmp_path / "alone.pt", 4)
    assert done.schedulers[0].after["base_lrs"] == [2e-3]
    assert "is taken to count steps, because nothing here says what it counts" in done.schedulers[0].note
    done = transfer_checkpoint(tmp_path / "scheduler.pt", tmp_path / "named.pt", 4, "sgd")
    assert done.schedulers[0].after["base_lrs"] == [4e-3], "SGD's lr moves by kappa"
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    done = transfer_checkpoint(tmp_path / "scheduler.pt", tmp_path / "beside.pt", 4)
    assert done.schedulers[0].after["base_lrs"] == [4e-3] and done.schedulers[0].after["last_epoch"] == 25


@pytest.mark.parametrize("alone", [False, True])
def test_a_scheduler_of_epochs_keeps_its_position_and_gets_its_rates(alone, tmp_path):
    _, optimizer, _ = trained(100)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    rates(optimizer, scheduler, 3)
    if alone:
        torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
        torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
        done = transfer_checkpoint(tmp_path / "scheduler.pt", tmp_path / "out.pt", 4)
        after = torch.load(tmp_path / "out.pt", weights_only=True)
    else:
        state, done = moved(tmp_path, optimizer, scheduler, 4)
        after = state["scheduler"]
    assert after["last_epoch"] == 3 and after["T_max"] == 10
    assert after["base_lrs"] == pytest.approx([2e-3]) and after["_last_lr"] == pytest.approx([2 * scheduler.get_last_lr()[0]])
    assert "counts 3 where the optimizer has made 103 steps, so it is taken to count epochs" in done.schedulers[0].note


@pytest.mark.parametrize(
    "more, position, said",
    [
        ({"iteration": 40}, 10, "goes on at step 10 of the new batch (made anew instead, it needs last_epoch = 9); its function"),
        ({"epoch": 40}, 40, "counts 40, as an epoch of the file does, so it is taken to count epochs: its learning rates moved"),
        ({}, 40, "counts 40, and nothing here says whether steps or epochs: its learning rates moved, its position and"),
    ],
)
def test_where_the_optimizer_counts_nothing_other_counters_decide(more, position, said, tmp_path):
    _, optimizer, scheduler = trained(40, make=torch.optim.SGD, lr=1e-3, momentum=0.9)
    state, done = moved(tmp_path, optimizer, scheduler, 4, **more)
    assert state["scheduler"]["last_epoch"] == position and state["scheduler"]["base_lrs"] == [4e-3]
    assert done.schedulers[0].note.startswith(said)


def test_one_that_counts_for_every_process_is_left_where_it_is(tmp_path):
    _, optimizer, scheduler = trained(100)
    for _ in range(300):
        scheduler.step()
    state, done = moved(tmp_path, optimizer, scheduler, 4)
    assert state["scheduler"]["last_epoch"] == 400 and "the steps of several processes" in done.schedulers[0].note


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lr_scheduler.CyclicLR(o, 1e-4, 1e-3, cycle_momentum=False),
        lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.99)]),
    ],
)
def test_an_unknown_scheduler_is_named_and_stays(make, tmp_path):
    _, optimizer, scheduler = trained(20, make)
    state, done = moved(tmp_path, optimizer, scheduler, 4)
    assert str(state["scheduler"]) == str(scheduler.state_dict())
    (change,) = done.schedulers
    assert change.where == "scheduler" and change.kind is None and change.after == {}
    assert change.note.startswith("is not known and stays as it is: make it anew with its lengths in steps / 4")


def test_something_else_under_the_name_of_a_scheduler_is_named(tmp_path):
    torch.save({"optimizer": trained()[1].state_dict(), "lr_scheduler": {"last_batch_iteration": 99}}, tmp_path / "in.pt")
    done = transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4)
    assert "lr_scheduler is no scheduler's state that is known here and stays as it is" in done.notes[0]
    assert "last_epoch = 24" in done.notes[0]


def test_each_scheduler_finds_its_optimizer(tmp_path):
    runs = [trained(100), trained(60, make=torch.optim.SGD, lr=1e-2, momentum=0.9)]
    torch.save(
        {
            "optimizers": [run[1].state_dict() for run in runs],
            "schedulers": [run[2].state_dict() for run in runs],
            "global_step": 60,
        },
        tmp_path / "in.pt",
    )
    done = transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4)
    assert [change.after["base_lrs"] for change in done.schedulers] == [[2e-3], [4e-2]]
    assert [change.after["last_epoch"] for change in done.schedulers] == [25, 15]


def test_lengths_that_a_function_takes_from_the_file_are_named(tmp_path):
    class Shape:
        def __init__(self):
            self.warmup_steps = 10

        def __call__(self, k):
            return 1 / (1 + k / self.warmup_steps)

    _, optimizer, scheduler = trained(20, lambda o: lr_scheduler.LambdaLR(o, Shape()))
    _, done = moved(tmp_path, optimizer, scheduler, 4)
    assert "loading it sets warmup_steps of that function to the old values" in done.schedulers[0].note


def test_one_cycle_says_that_it_writes_beta1(tmp_path):
    _, optimizer, scheduler = trained(40, lambda o: lr_scheduler.OneCycleLR(o, 1e-2, total_steps=400))
    state, done = moved(tmp_path, optimizer, scheduler, 2)
    assert "it writes beta1 (or momentum) anew in every step" in done.schedulers[0].note
    group = state["optimizer"]["param_groups"][0]
    assert (group["base_momentum"], group["max_momentum"]) == (pytest.approx(1 - 2 * 0.15), pytest.approx(1 - 2 * 0.05))


def test_a_plateau_counts_evaluations(tmp_path):
    _, optimizer, _ = trained(20)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, min_lr=1e-5)
    scheduler.step(1.0), scheduler.step(2.0)
    state, done = moved(tmp_path, optimizer, scheduler, 4)
    kept = ("last_epoch", "num_bad_epochs", "best", "patience")
    assert all(state["scheduler"][name] == scheduler.state_dict()[name] for name in kept)
    assert state["scheduler"]["min_lrs"] == [2e-5] and "it counts evaluations" in done.schedulers[0].note


def test_rates_in_tensors_stay_in_tensors(tmp_path):
    _, optimizer, scheduler = trained(20, lambda o: lr_scheduler.CosineAnnealingLR(o, 401), lr=torch.tensor(1e-3))
    state, _ = moved(tmp_path, optimizer, scheduler, 4)
    rate = state["scheduler"]["_last_lr"][0]
    assert isinstance(rate, torch.Tensor) and isinstance(state["optimizer"]["param_groups"][0]["lr"], torch.Tensor)
    assert rate.item() == pytest.approx(state["optimizer"]["param_groups"][0]["lr"].item())


@pytest.mark.parametrize(
    "name, value",
    [
        ("last_epoch", 1.5),
        ("last_epoch", True),
        ("last_epoch", 10**40),
        ("base_lrs", "all"),
        ("base_lrs", [1e-3, 1e-3]),
        ("base_lrs", [[1e-3]]),
        ("_last_lr", [float("nan")]),
        ("T_max", "100"),
        ("T_max", torch.ones(2)),
        ("T_max", None),
        ("eta_min", 1j),
        ("_step_count", torch.tensor(3)),
    ],
)
def test_a_scheduler_that_is_not_in_order_is_refused(name, value, tmp_path):
    _, optimizer, scheduler = trained(20, lambda o: lr_scheduler.CosineAnnealingLR(o, 400))
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": {**scheduler.state_dict(), name: value}}, tmp_path / "in.pt")
    with pytest.raises(FieldError, match=r"give (what scheduler\.state_dict\(\) returned|one, for example|a number)"):
        transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4)


@pytest.mark.parametrize("spoilt", ["T_max", "total_iters", "step_size"])
def test_a_formula_without_a_number_leaves_the_rates_to_the_rule(spoilt, tmp_path):
    make = {
        "T_max": lambda o: lr_scheduler.CosineAnnealingLR(o, 400),
        "total_iters": lambda o: lr_scheduler.LinearLR(o),
        "step_size": lambda o: lr_scheduler.StepLR(o, 400),
    }[spoilt]
    _, optimizer, scheduler = trained(20, make)
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": {**scheduler.state_dict(), spoilt: 0}}, tmp_path / "in.pt")
    done = transfer_checkpoint(tmp_path / "in.pt", tmp_path / "out.pt", 4)
    assert done.schedulers[0].after["_last_lr"] == pytest.approx([2 * rate for rate in scheduler.get_last_lr()])


def test_an_unreadable_file_beside_it_does_no_harm(tmp_path):
    torch.save(trained()[1].state_dict(), tmp_path / "optimizer.pt")
    (tmp_path / "scheduler.pt").write_bytes(b"nothing")
    done = transfer_checkpoint(tmp_path / "optimizer.pt", tmp_path / "out.pt", 4)
    assert "scheduler.pt beside it holds no scheduler that is known here: make it anew" in done.notes[0]
    shutil.copy(tmp_path / "scheduler.pt", tmp_path / "optimizer_2.pt")
    torch.save(trained()[2].state_dict(), tmp_path / "lone_scheduler.pt")
    assert transfer_checkpoint(tmp_path / "lone_scheduler.pt", tmp_path / "out2.pt", 4).schedulers[0].after["last_epoch"] == 25
