"""Every form of a checkpoint: moved, with nothing else in it changed, or refused in a sentence that says what to do."""

import copy

import pytest
import torch
from transfer.checkpoint import shapes
from transfer.optimized import advance

from sqrtscale.rules import FieldError
from sqrtscale.transfer.checkpoint.reading import read
from sqrtscale.transfer.checkpoint.summary import summary
from sqrtscale.transfer.checkpoint.transfer_file import transfer_checkpoint

ADAM = {"lr", "betas", "eps", "weight_decay", "step", "exp_avg_sq"}
SCHEDULE = {"last_epoch", "_step_count", "base_lrs", "_last_lr"}
MOVED = {  # form -> the class to name, the place of its optimizer, the names of all that may change
    "by_itself": (None, "", ADAM | {"initial_lr"}),
    "in_lightning": (None, "optimizer_states.0", ADAM | SCHEDULE | {"initial_lr"}),
    "everything_in_one": (None, "optimizer", ADAM | SCHEDULE | {"initial_lr"}),
    "by_names": (None, "", ADAM | {"initial_lr"}),
    "zero": ("adamw", "optimizer_state_dict.base_optimizer_state", ADAM),
    "bits8": (None, "", {"lr", "betas", "eps", "weight_decay", "step", "absmax2"}),
    "bits32": (None, "", {"lr", "betas", "eps", "weight_decay", "step", "state2"}),
    "fused": ("adamw", "", ADAM),
    "with_average": (None, "optimizer", ADAM | {"initial_lr"}),
    "rmsprop": (None, "", {"lr", "alpha", "eps", "step", "square_avg", "momentum_buffer", "initial_lr"}),
    "before_torch_2_7": ("adamw", "", ADAM | {"initial_lr"}),
    "rate_in_a_tensor": (None, "", ADAM | {"initial_lr"}),
    "of_transformers": (None, "", ADAM),
}
REFUSED = {
    "flattened": r"holds optimizer state at optim\.state\.layer\.weight\.exp_avg, flattened: save it nested",
    "zero_elastic": r"DeepSpeed's elastic form without hyperparameters: save with \"elastic_checkpoint\": false",
    "bits8_by_tensor": "is a form of bitsandbytes that is not moved",
    "one_moment_of_bits": "is a form of bitsandbytes that is not moved",
    "lion": "optimizer = 'lion' has no derived rule",
    "muon_mixed": "optimizer = 'muon' has no derived rule",
    "schedule_free": "optimizer = 'schedulefree' (has no derived rule|cannot be moved)",
    "zero": "is not told by the file .*Apex and DeepSpeed",
    "fused": "is not told by the file",
    "before_torch_2_7": "is not told by the file",
}


def transferred(content, folder, kappa=4, **options):
    """The content of the new file, and what was said."""
    source, out = folder / "in.pt", folder / "out.pt"
    torch.save(content, source)
    done = transfer_checkpoint(source, out, kappa, **options)
    return torch.load(out, weights_only=True), done


def leaves(content, place=()):
    """Every value in nested tables and lists, by its place."""
    if isinstance(content, (dict, list, tuple)):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        return {key: value for name, inside in pairs for key, value in leaves(inside, (*place, name)).items()}
    return {place: content}


def differs(before, after):
    return not torch.equal(before, after) if isinstance(before, torch.Tensor) else before != after


def named(place):
    """The last name in a place that is no number of a list."""
    return [name for name in place if isinstance(name, str)][-1]


@pytest.mark.parametrize("form", MOVED)
def test_a_form_with_a_rule_is_moved_and_nothing_else_in_the_file(form, tmp_path):
    optimizer, where, names = MOVED[form]
    before = getattr(shapes, form)()
    after, done = transferred(copy.deepcopy(before), tmp_path, optimizer=optimizer)
    old, new = leaves(before), leaves(after)
    assert list(old) == list(new)
    assert {named(place) for place in old if differs(old[place], new[place])} == names
    assert [summary.where for summary in done.after] == [where]
    assert done.before[0].steps[1] == shapes.STEPS and done.after[0].steps[1] == shapes.STEPS / 4
    for place, value in old.items():  # v / kappa, exactly
        if named(place) in ("exp_avg_sq", "state2", "absmax2") and value.is_floating_point():
            assert torch.equal(new[place], value / 4)
        if named(place) == "lr":
            assert new[place] == pytest.approx(2 * value) and type(new[place]) is type(value)


@pytest.mark.parametrize("form", REFUSED)
def test_a_form_that_cannot_be_moved_rightly_is_refused(form, tmp_path):
    with pytest.raises(FieldError, match=REFUSED[form]) as refusal:
        transferred(getattr(shapes, form)(), tmp_path)
    assert "\n" not in str(refusal.value) and [path.name for path in tmp_path.glob("*out*")] == []


@pytest.mark.parametrize("form", ["lion", "muon_mixed", "schedule_free"])
def test_a_name_does_not_make_another_optimizer_of_it(form, tmp_path):
    with pytest.raises(FieldError, match=r"optimizer = '(lion|muon|schedulefree)'"):
        transferred(getattr(shapes, form)(), tmp_path, optimizer="adamw")


@pytest.mark.parametrize(
    "state, group, name",
    [
        ({"exp_inf": 1}, {}, "adamax"),
        ({"exp_avg_sq_row": 1, "exp_avg_sq_col": 1}, {}, "adafactor"),
        ({"sum": 1}, {}, "adagrad"),
        ({"hessian": 1, "exp_avg": 1}, {}, "sophia"),
        ({}, {"d_coef": 1.0, "d0": 1e-6}, "prodigy"),
        ({"vmean": 1}, {}, "adammini"),
        ({}, {"update_proj_gap": 200, "rank": 8}, "galore"),
        ({"exp_avg_var": 1}, {}, "adabelief"),
        ({"GG": 1}, {}, "soap"),
        ({}, {"ns_steps": 5, "momentum": 0.95}, "muon"),
        ({"acc_delta": 1}, {}, "adadelta"),
        ({"exp_avg_diff": 1}, {}, "adan"),
        ({"state1": 1, "state2": 1, "unorm_vec": 1}, {}, "lamb"),
        ({"exp_avg": 1}, {"betas": (0.9, 0.99, 0.999), "alpha": 5.0}, "ademamix"),
    ],
)
def test_optimizers_without_a_rule_are_known_by_what_only_they_keep(state, group, name, tmp_path):
    tensors = {key: torch.rand(4) for key in state}
    with pytest.raises(FieldError, match=f"optimizer = '{name}' (has no derived rule|cannot be moved)"):
        transferred(shapes.one_group(tensors, **{"betas": (0.9, 0.99), "eps": 1e-8, **group}), tmp_path)


def numbers(entry):
    """First and second moment of a state of bitsandbytes, as its kernels see them."""
    if "qmap1" not in entry:
        return entry["state1"], entry["state2"]
    block = entry["state1"].numel() // entry["absmax1"].numel()
    return tuple(entry[f"qmap{i}"][entry[f"state{i}"].long()] * entry[f"absmax{i}"].repeat_interleave(block) for i in (1, 2))


def step_of_bitsandbytes(weights, gradient, entry, group):
    """One step of its Adam, as its kernels make it: decay last, eps times the root of the bias correction."""
    m, v = numbers(entry)
    (beta1, beta2), lr, k = group["betas"], group["lr"], entry["step"] + 1
    m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
    root = (1 - beta2**k) ** 0.5
    weights = weights - lr * root / (1 - beta1**k) * m / (v.sqrt() + root * group["eps"])
    return weights * (1 - lr * group["weight_decay"])


@pytest.mark.parametrize("form", ["bits8", "bits32"])
def test_the_next_step_of_bitsandbytes_is_that_of_a_moved_adamw(form, tmp_path):
    before = getattr(shapes, form)()
    m, v = numbers(before["state"][0])
    weights = torch.nn.Parameter(torch.linspace(-1, 1, m.numel()))
    options = {name: before["param_groups"][0][name] for name in ("lr", "betas", "eps", "weight_decay")}
    torchs = torch.optim.AdamW([weights], **options)
    torchs.state[weights].update(step=torch.tensor(float(shapes.STEPS)), exp_avg=m.clone(), exp_avg_sq=v.clone())
    as_torch, _ = transferred(torchs.state_dict(), tmp_path)
    (tmp_path / "out.pt").unlink()
    after, _ = transferred(before, tmp_path)
    gradient = torch.sin(torch.arange(m.numel(), dtype=torch.float32))
    expected = step_of_bitsandbytes(weights.detach().clone(), gradient, after["state"][0], after["param_groups"][0])
    torchs.load_state_dict(as_torch)
    weights.grad = gradient
    decay = 1 - after["param_groups"][0]["lr"] * after["param_groups"][0]["weight_decay"]
    start = weights.detach().clone()
    torchs.step()  # decays first: the two orders differ by decay times the step
    torch.testing.assert_close(expected, (weights.detach() - start * decay) * decay + start * decay, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("form, kappa, steps", [("bits32", 3, 13), ("fused", 3, 13), ("of_transformers", 3, 40 / 3)])
def test_where_a_library_counts_whole_steps_the_count_is_rounded_and_that_is_said(form, kappa, steps, tmp_path):
    after, done = transferred(getattr(shapes, form)(), tmp_path, kappa, optimizer="adamw")
    count = after["state"][0].get("step", after["param_groups"][0].get("step"))
    assert count == steps and type(count) is type(steps)
    assert any("step 40 / 3 = 13.33333333 is rounded to 13" in note for note in done.notes) == (steps == 13)


def test_states_by_name_go_on_as_those_by_number(tmp_path):
    parameters, optimizer, _ = shapes.trained_run()
    expected, _ = transferred(copy.deepcopy(optimizer.state_dict()), tmp_path)
    (tmp_path / "out.pt").unlink()
    named, _ = transferred(shapes.by_names(), tmp_path)
    named["state"] = dict(enumerate(named["state"].values()))
    named["param_groups"][0]["params"] = [0, 1]
    results = []
    for state_dict in (expected, named):
        weights = [torch.nn.Parameter(p.detach().clone()) for p in parameters]
        loaded = torch.optim.AdamW(weights)
        loaded.load_state_dict(state_dict)
        advance(loaded, 3)
        results.append(torch.cat([p.detach().flatten() for p in weights]))
    assert torch.equal(*results)


def test_an_optimizer_that_a_file_names_twice_is_moved_once(tmp_path):
    state_dict = shapes.adamw()
    after, done = transferred({"optimizer": state_dict, "best": ("step", state_dict)}, tmp_path)
    assert len(done.after) == 1
    assert (
        after["optimizer"]["param_groups"][0]["lr"]
        == after["best"][1]["param_groups"][0]["lr"]
        == pytest.approx(2 * state_dict["param_groups"][0]["lr"])
    )


def test_notes_on_averages_counters_and_ranks(tmp_path):
    _, done = transferred(shapes.with_average(), tmp_path)
    (note,) = (note for note in done.notes if note.startswith("ema"))
    assert f"0.9999 for example {0.9999**4:.8g}" in note
    (tmp_path / "out.pt").unlink()
    _, done = transferred(shapes.zero(), tmp_path, optimizer="adamw")
    assert "this is one rank's part of DeepSpeed's optimizer: move the file of every rank" in done.notes
    (tmp_path / "out.pt").unlink()
    _, done = transferred(shapes.in_lightning(), tmp_path)
    (note,) = (note for note in done.notes if "global_step" in note)
    for name in ("_batches_that_stepped", "optim_progress.optimizer.step.total.completed"):
        assert name in note
    assert "40 steps of the old batch, which are 10 of the new one" in note
    assert "max_steps = 40 + (old max_steps - 40) / 4" in note and "batch_size" not in note


def test_a_summary_names_what_cannot_be_moved_too(tmp_path):
    torch.save(shapes.lion(), tmp_path / "lion.pt")
    with pytest.raises(FieldError, match="optimizer = 'lion'"):
        summary(read(tmp_path / "lion.pt"))
    (optimizer,) = summary(shapes.bits8())
    assert optimizer.optimizer == "adamw" and optimizer.steps == (40, 40) and optimizer.param_groups[0]["t_alpha"] is None
