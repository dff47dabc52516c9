"""Optimizer states that other libraries write: those with a rule under torch's names and back, the others by their name.

The numbers mean the same as torch's: bitsandbytes keeps the two moments as state1 and state2, in 32 bits, or in 8 with one
scale per block (v = qmap2[state2] * absmax2, so v / kappa is absmax2 / kappa, exactly); its Adam and its AdamW both decay the
weights, not the gradient [bitsandbytes, csrc/kernels.cu, kOptimizer32bit2State]. Apex's and DeepSpeed's fused Adam count steps in
the group, and do not say whether they are Adam or AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..rules import FieldError
from .optimizer_state import StateDict, check_structure, recognised_family, refusal

Restore = Callable[[dict[str, Any], float], dict[str, Any]]  # (moved state dict under torch's names, kappa) -> in its own form

# name in ``rules.UNDERIVED`` -> what only its states hold, what only its groups hold; the first that fits counts
SIGNS: tuple[tuple[str, set[str], set[str]], ...] = (
    ("schedulefree", {"z"}, {"weight_lr_power", "weight_sum", "train_mode"}),
    ("prodigy", {"p0"}, {"d_coef"}),
    ("dadapt", set(), {"gsq_weighted", "growth_rate", "d0"}),
    ("apollo", set(), {"scale_type"}),
    ("galore", {"projector"}, {"update_proj_gap"}),
    ("came", {"exp_avg_res_row"}, set()),
    ("adafactor", {"exp_avg_sq_row", "exp_avg_sq_col"}, {"relative_step", "scale_parameter"}),
    ("muon", set(), {"ns_steps", "ns_coefficients"}),
    ("adamax", {"exp_inf"}, set()),
    ("sophia", {"hessian"}, set()),
    ("adadelta", {"acc_delta"}, set()),
    ("adagrad", {"sum"}, {"lr_decay"}),
    ("adabelief", {"exp_avg_var"}, set()),
    ("lamb", {"unorm_vec"}, {"trust_clip", "use_nvlamb"}),
    ("lars", set(), {"trust_coefficient", "trust_coef"}),
    ("adan", {"exp_avg_diff", "neg_pre_grad"}, set()),
    ("ademamix", {"exp_avg_slow"}, set()),
    ("adammini", {"vmean"}, set()),
    ("soap", {"GG", "Q"}, {"precondition_frequency"}),
    ("shampoo", {"preconditioners", "inv_precond_0"}, set()),
)
BLOCKWISE = {"step", "state1", "state2", "qmap1", "qmap2", "absmax1", "absmax2"}


@dataclass(frozen=True)
class TorchForm:
    """A saved optimizer as torch would have written it.

    state_dict: under torch's names; family: which wrote it, or None where it does not tell; restore: puts what was moved back
    under the library's own names.
    """

    state_dict: StateDict
    family: str | None
    restore: Restore


def in_torch_form(state_dict: StateDict) -> TorchForm:
    """A saved optimizer of any library in torch's form.

    Raises FieldError for an optimizer without a rule, by its name, and for a state that is not in order.
    """
    underived = underived_optimizer(state_dict)
    if underived:
        raise refusal(underived)
    check_structure(state_dict)
    renamed, restore = _renamed(state_dict)
    return TorchForm(renamed, recognised_family(renamed), restore)


def underived_optimizer(state_dict: StateDict) -> str | None:
    """The name of the optimizer without a rule that wrote this state, or None: one of ``rules.UNDERIVED``."""
    groups = _tables(state_dict["param_groups"])
    options = {key for group in groups for key in group}
    kept = {key for entry in _entries(state_dict) for key in entry}
    if any(group.get("use_muon") is True for group in groups):
        return "muon"
    for name, in_state, in_group in SIGNS:
        if kept & in_state or options & in_group:
            return name
    betas = [group["betas"] for group in groups if isinstance(group.get("betas"), (list, tuple))]
    if any(len(decays) == 3 for decays in betas):
        return "ademamix" if "alpha" in options else "adan"
    steps_by_sign = "betas" in options and "eps" not in options and kept == {"exp_avg"}
    return "lion" if steps_by_sign else None


def _renamed(state_dict: StateDict) -> tuple[StateDict, Restore]:
    """A state in order under torch's names, and how to put what was moved back under the library's own.

    Raises FieldError for a form of bitsandbytes whose numbers do not tell which optimizer wrote them.
    """
    for entry in _entries(state_dict):
        if "state1" in entry and not ({"state1", "state2"} <= entry.keys() <= BLOCKWISE):
            raise FieldError(
                "state",
                ", ".join(map(str, entry))[:60],
                "is a form of bitsandbytes that is not moved: only Adam's and AdamW's are, in 32 bits or in blocks of 8 bits",
            )
    if any("state1" in entry for entry in _entries(state_dict)):
        return _bitsandbytes(state_dict)
    if all("bias_correction" in group and "betas" in group for group in state_dict["param_groups"]):
        return _fused(state_dict)
    return state_dict, lambda moved, kappa: moved


def _bitsandbytes(state_dict: StateDict) -> tuple[StateDict, Restore]:
    """Adam or AdamW of bitsandbytes: in 32 bits the moments themselves, in 8 bits the scales of their blocks."""

    def moment_names(entry: Mapping[str, Any]) -> tuple[str, str]:
        return ("absmax1", "absmax2") if "absmax2" in entry else ("state1", "state2")

    def renamed(entry: Mapping[str, Any]) -> dict[str, Any]:
        m, v = moment_names(entry)
        names = {"step": "step", "exp_avg": m, "exp_avg_sq": v}
        return {name: entry[own_name] for name, own_name in names.items() if own_name in entry}

    def restore(moved: dict[str, Any], kappa: float) -> dict[str, Any]:
        state = dict(state_dict["state"])
        for key, entry in state.items():
            if entry:
                second_moment = moved["state"][key]["exp_avg_sq"]
                state[key] = {**entry, "step": _steps_at_target(entry["step"], kappa), moment_names(entry)[1]: second_moment}
        return {**moved, "state": state, "param_groups": _original_options(moved, state_dict)}

    state = {key: renamed(entry) if entry else entry for key, entry in state_dict["state"].items()}
    groups = [{**group, "amsgrad": False, "decoupled_weight_decay": True} for group in state_dict["param_groups"]]
    return {**state_dict, "state": state, "param_groups": groups}, restore


def _fused(state_dict: StateDict) -> tuple[StateDict, Restore]:
    """The fused Adam of Apex and DeepSpeed, which may count steps in the group instead of at each parameter."""
    group_steps = {key: group["step"] for group in state_dict["param_groups"] if "step" in group for key in group["params"]}

    def restore(moved: dict[str, Any], kappa: float) -> dict[str, Any]:
        def restored(table: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Any]:
            return {name: _steps_at_target(value, kappa) if name == "step" else table[name] for name, value in original.items()}

        pairs = zip(moved["param_groups"], state_dict["param_groups"], strict=True)
        groups = [restored(group, original) for group, original in pairs]
        state = {key: restored(moved["state"][key], entry) if entry else entry for key, entry in state_dict["state"].items()}
        return {**moved, "state": state, "param_groups": groups}

    state = {
        key: {"step": group_steps[key], **entry} if entry and key in group_steps else entry
        for key, entry in state_dict["state"].items()
    }
    groups = [{"amsgrad": False, **group} for group in state_dict["param_groups"]]
    return {**state_dict, "state": state, "param_groups": groups}, restore


def _original_options(moved: StateDict, original: StateDict) -> list[dict[str, Any]]:
    """The moved groups with those options alone that they had before."""
    pairs = zip(moved["param_groups"], original["param_groups"], strict=True)
    return [{name: group[name] for name in original_group} for group, original_group in pairs]


def _steps_at_target(steps: Any, kappa: float) -> Any:
    """A step count at the new batch, whole where the library counts whole steps."""
    if isinstance(steps, Tensor):
        return steps / kappa if steps.is_floating_point() else (steps / kappa).round().to(steps.dtype)
    return round(steps / kappa) if isinstance(steps, int) else steps / kappa


def _entries(state_dict: StateDict) -> list[Mapping[str, Any]]:
    """The filled states of parameters, as far as they are tables: this is asked before anything is checked."""
    state = state_dict["state"]
    return [entry for entry in _tables(list(state.values())) if entry] if isinstance(state, Mapping) else []


def _tables(values: Any) -> list[Mapping[str, Any]]:
    """The tables in a list; nothing for what is no list."""
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, (list, tuple)) else []
