"""A saved optimizer state moved to another batch: the same as one moved in place, recognised by what is in it."""

import copy

import pytest
import torch
from transfer.optimized import CASES, advance, assert_same, flat, trained

from sqrtscale.rules import FieldError
from sqrtscale.transfer.optimizer import transfer_optimizer_, transfer_state_dict
from sqrtscale.transfer.optimizer_state import recognised_family


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("more", [{}, {"foreach": True}, {"foreach": False}])
def test_saved_and_moved_is_moved_in_place(case, more):
    parameters, optimizer = trained(case, dtype=torch.float32, **more)  # torch loads mu_product in the type of the weights
    saved = copy.deepcopy(optimizer.state_dict())
    as_saved = copy.deepcopy(saved)
    moved = transfer_state_dict(saved, 4)
    assert str(saved) == str(as_saved), "the given dict is left as it was"
    loaded = getattr(torch.optim, CASES[case][0])([torch.nn.Parameter(p.detach().clone()) for p in parameters])
    loaded.load_state_dict(moved)
    transfer_optimizer_(optimizer, 4)
    assert_same(flat(loaded), flat(optimizer))
    advance(optimizer, 5), advance(loaded, 5)
    for parameter, loaded_parameter in zip(parameters, loaded.param_groups[0]["params"], strict=True):
        assert torch.equal(parameter, loaded_parameter)


def test_whole_numbers_of_old_files_stay_whole_where_they_can():
    _, optimizer = trained("adamw", 6)
    saved = optimizer.state_dict()
    for entry in saved["state"].values():
        entry["step"] = 6
    assert [transfer_state_dict(saved, kappa)["state"][0]["step"] for kappa in (2, 4)] == [3, 1.5]
    assert isinstance(transfer_state_dict(saved, 2)["state"][0]["step"], int)


@pytest.mark.parametrize("case", CASES)
def test_saved_optimizers_are_recognised(case):
    saved = trained(case)[1].state_dict()
    assert recognised_family(saved) == ("adam" if case == "amsgrad" else CASES[case][2])


def test_old_files_of_adam_and_adamw_need_the_name_only_where_it_matters():
    saved = trained("adamw")[1].state_dict()
    for group in saved["param_groups"]:
        del group["decoupled_weight_decay"]
    with pytest.raises(FieldError, match=r"optimizer = None is not told by the file \(Adam and AdamW write the same in torch"):
        transfer_state_dict(saved, 4)
    assert transfer_state_dict(saved, 4, "torch.optim.AdamW")["param_groups"][0]["weight_decay"] == 0.2
    assert transfer_state_dict(saved, 4, "adam")["param_groups"][0]["weight_decay"] == 0.1
    saved["param_groups"][0]["weight_decay"] = 0.0
    assert transfer_state_dict(saved, 4)["param_groups"][0]["lr"] == 6e-4


@pytest.mark.parametrize(
    "change, optimizer, message",
    [
        (lambda s: s, "lion", "optimizer = 'lion' has no derived rule"),
        (lambda s: s, "keras_adam", "optimizer = 'keras_adam' cannot be moved"),
        (lambda s: s, "sgd", "optimizer = 'sgd' does not fit: a parameter group has no momentum"),
        (lambda s: s, "nadam", "optimizer = 'nadam' does not fit: a parameter group has no momentum_decay"),
        (lambda s: {"state": {}, "groups": []}, None, "state_dict = 'dict' is no optimizer's"),
        (lambda s: {"state": {}, "param_groups": []}, None, "param_groups = 'list' is no list of parameter groups"),
        (lambda s: [1, 2], None, "state_dict = 'list' is no optimizer's"),
        (lambda s: s | {"state": {0: {"exp_avg": torch.ones(1), "exp_avg_new": torch.ones(1)}}}, None, "is not told by the file"),
        (lambda s: s | {"state": {0: {"exp_avg": torch.ones(1)}}}, "adamw", "is not torch.optim.AdamW's: it has no step"),
        (
            lambda s: s | {"state": {0: {"step": 1, "exp_avg": torch.ones(1), "exp_avg_sq": torch.ones(2)}}},
            "adamw",
            r"its tensors differ in shape: exp_avg \(1,\), exp_avg_sq \(2,\)",
        ),
    ],
)
def test_saved_states_that_are_refused(change, optimizer, message):
    with pytest.raises(FieldError, match=message):
        transfer_state_dict(change(trained("adamw")[1].state_dict()), 4, optimizer)
