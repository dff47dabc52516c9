"""Which tensor of a saved training belongs to which parameter of a model: by names, and by places where there are no names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...rules import FieldError
from ..optimizer_state import state_fault
from .reading import refusal
from .saved import SavedTraining, Table

WRAPPERS = re.compile(r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")  # of torch.compile, FSDP, checkpointing
PER_MODEL = ("step", "mu_product")
SQUARES = ("exp_avg_sq", "max_exp_avg_sq", "square_avg")
REMEDY = "let model() return the module that was saved"

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class ModelNames:
    """What a model calls its tensors, by shape and in its own order. kept: buffers that are saved; tied: other names of a tensor;
    groups: names of the parameters of each group, in the order in which an optimizer gets them, where the task says so."""

    trained: Shapes
    frozen: Shapes = field(default_factory=dict)
    kept: Shapes = field(default_factory=dict)
    tied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    order: tuple[str, ...] = ()  # of all parameters
    groups: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Matched:
    """tensors: of the model by its names; state: of each trained parameter that has one; groups: name -> its group in the file;
    left: frozen parameters that the file does not hold; unused: tensors beside the weights that the model does not have."""

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, int]
    left: tuple[str, ...]
    unused: int


def match(saved: SavedTraining, model: ModelNames) -> Matched:
    """Everything in a saved training by the names of a model. Raises FieldError where it is another model's."""
    tensors, unused = _weights(saved, model)
    names = _parameter_names(saved, model)
    state: dict[str, Mapping[str, Any]] = {}
    groups: dict[str, int] = {}
    for i, group in enumerate(saved.optimizer["param_groups"]):
        for key in group["params"]:
            name = names[key]
            entry = saved.optimizer["state"].get(key)
            if name in model.trained:
                groups[name] = i
                if entry:
                    state[name] = _checked(saved, name, entry, model.trained[name])
            elif entry:
                raise refusal(saved.path, f"holds optimizer state of {name}, which the model does not train: leave it trainable")
    absent = [name for name in model.trained if name not in groups]
    if absent:
        raise refusal(saved.path, f"has an optimizer that does not train {absent[0]}: freeze it in model() as in that training")
    left = tuple(name for name in model.frozen if name not in tensors)
    return Matched(tensors, state, groups, left, unused)


def _weights(saved: SavedTraining, model: ModelNames) -> tuple[dict[str, Tensor], int]:
    """The tensors of the table that has most of the model's names, behind whatever prefix, and how many others it has."""
    wanted = {**model.trained, **model.kept, **model.frozen}
    best: tuple[tuple[int, bool, int], Table, dict[str, Tensor]] | None = None
    for table in saved.tables:
        plain = {WRAPPERS.sub("", name): tensor for name, tensor in table.tensors.items()}
        for prefix in _prefixes(plain, wanted):
            held = {name: tensor for name in wanted for alias in (name, *model.tied.get(name, ()))
                    if (tensor := plain.get(prefix + alias)) is not None}
            rank = len(held), not table.average, -len(prefix)
            if best is None or rank > best[0]:
                best = rank, table, held
    if best is None:
        largest: Mapping[str, Tensor] = max((table.tensors for table in saved.tables), key=lambda held: len(held), default={})
        held_names = ", ".join(list(largest)[:3])
        raise refusal(saved.path, f"holds no weights of the model, {next(iter(wanted))} and so on"
                                  f"{f' (it has {held_names[:120]})' if held_names else ''}: {REMEDY}")
    _, table, held = best
    missing = [name for name in (*model.trained, *model.kept) if name not in held]
    if missing:
        raise refusal(saved.path, f"lacks {len(missing)} of the {len(model.trained) + len(model.kept)} tensors of the model, for "
                                  f"example {missing[0]}: {REMEDY}")
    for name, tensor in held.items():
        if tuple(tensor.shape) != tuple(wanted[name]):
            raise refusal(saved.path, f"holds {name} with shape {_shape(tensor.shape)}, and the model has it with "
                                      f"{_shape(wanted[name])}: {REMEDY}")
    used = {id(tensor) for tensor in held.values()}
    return held, sum(id(tensor) not in used for tensor in table.tensors.values())


def _prefixes(names: Iterable[str], wanted: Iterable[str]) -> set[str]:
    """What stands before the model's names, empty for nothing: by the names of a few tensors of it."""
    few = list(wanted)[:8]
    return {name[: -len(end)] for name in names for end in few if name == end or name.endswith(f".{end}")}


def _parameter_names(saved: SavedTraining, model: ModelNames) -> dict[int | str, str]:
    """The model's name of each parameter of the optimizer, in whatever way it names them."""
    groups = saved.optimizer["param_groups"]
    keys = [key for group in groups for key in group["params"]]
    if all(isinstance(key, str) for key in keys):
        return dict(zip(keys, _own_names(keys, model), strict=True))
    if all(len(group.get("param_names") or ()) == len(group["params"]) for group in groups):
        return dict(zip(keys, _own_names([name for group in groups for name in group["param_names"]], model), strict=True))
    orders = _orders(len(groups), model)
    for order in orders:
        if [len(names) for names in order] == [len(group["params"]) for group in groups]:
            return dict(zip(keys, (name for names in order for name in names), strict=True))
    counts = " and ".join(str(len(group["params"])) for group in groups)
    if len(groups) > 1:
        raise refusal(saved.path, f"has an optimizer with groups of {counts} parameters and no names of them: define "
                                  "GROUPS(model) in the file of the task as in that training")
    raise refusal(saved.path, f"has an optimizer of {counts} parameters, and the model has {len(model.order)}, "
                              f"{len(model.trained)} of them trained: {REMEDY}")


def _orders(groups: int, model: ModelNames) -> Sequence[Sequence[Sequence[str]]]:
    """The ways in which an optimizer may have got its parameters: as the task says, all, the trained ones; in two groups matrices
    first, as most programs part those with weight decay from those without."""
    trained = [name for name in model.order if name in model.trained]
    orders: list[Sequence[Sequence[str]]] = [model.groups] if model.groups else []
    if groups == 1:
        orders += [[model.order], [trained]]
    if groups == 2 and not model.groups:
        for names in (trained, model.order):
            shapes = {**model.trained, **model.frozen}
            matrices = [name for name in names if len(shapes[name]) > 1]
            orders.append([matrices, [name for name in names if name not in matrices]])
    return orders


def _own_names(names: Sequence[str], model: ModelNames) -> list[str]:
    """Names in a file as the model has them; one that it does not have stays."""
    plain = [WRAPPERS.sub("", name) for name in names]
    aliases = {alias: name for name in model.order for alias in (name, *model.tied.get(name, ()))}
    prefixes = _prefixes(plain, model.trained)
    prefix = max(prefixes, key=lambda prefix: sum(name.removeprefix(prefix) in aliases for name in plain), default="")
    return [aliases.get(name.removeprefix(prefix), name) for name in plain]


def _checked(saved: SavedTraining, name: str, entry: Mapping[str, Any], shape: tuple[int, ...]) -> Mapping[str, Any]:
    """The state of a parameter, which must be one of its family and have its shape."""
    fault = state_fault(saved.family, entry) if saved.family else ""
    if fault:
        raise FieldError("state", name, f"of {saved.path} is not in order, {fault}: save what optimizer.state_dict() returns")
    for piece, value in entry.items():
        if isinstance(value, Tensor) and not bool(torch.isfinite(value).all()):
            raise refusal(saved.path, f"holds {piece} of {name} that is not finite: save a checkpoint from before the training "
                                      "diverged")
        if isinstance(value, Tensor) and piece in SQUARES and bool((value < 0).any()):
            raise refusal(saved.path, f"holds {piece} of {name} below 0, which a mean of squares is not: save what "
                                      "optimizer.state_dict() returns")
        if isinstance(value, Tensor) and piece not in PER_MODEL and tuple(value.shape) != tuple(shape):
            raise refusal(saved.path, f"holds {piece} with shape {_shape(value.shape)} for {name}, which has {_shape(shape)}: "
                                      "its optimizer got the parameters in another order, so save the state by names, "
                                      "torch.optim.AdamW(model.named_parameters())")
    return entry


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"
