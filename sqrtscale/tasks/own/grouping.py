"""What a file's GROUPS(model) returns, a list as torch's optimizers take it, read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...rules import FieldError
from ...rules.errors import real
from .checkpoint import OF_A_GROUP, Group

if TYPE_CHECKING:
    from torch import nn

EXAMPLE = 'return a list of dictionaries, each with "params" and what it sets itself, as torch.optim takes them'


def read_groups(returned: Any, model: nn.Module) -> list[Group]:
    """Every group, in its order, with the names of its trained parameters. Raises FieldError.

    Every trained parameter belongs to one of them, frozen ones are nobody's.
    """
    if not isinstance(returned, list | tuple) or not returned or not all(
            isinstance(group, Mapping) and "params" in group for group in returned):
        raise FieldError("GROUPS", type(returned).__name__, f"is no list of parameter groups: {EXAMPLE}")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups = [_group(i, dict(group), names, trained) for i, group in enumerate(returned)]
    members = [name for group in groups for name in group.parameters]
    if len({group.name for group in groups}) < len(groups):
        raise FieldError("GROUPS", ", ".join(group.name for group in groups), "has a name twice: give each group its own")
    for name in members:
        if members.count(name) > 1:
            raise FieldError("GROUPS", name, "is in more than one group: leave it in one")
    missing = sorted(trained - set(members))
    if missing:
        raise FieldError("GROUPS", missing[0], "is trained and in no group: put every trained parameter into one")
    return groups


def _group(i: int, group: dict[str, Any], names: Mapping[int, str], trained: set[str]) -> Group:
    params, name = group.pop("params"), str(group.pop("name", f"group {i}"))
    if not isinstance(params, Iterable):
        raise FieldError(f"{name}.params", type(params).__name__, "is no list of parameters: take them from model.parameters()")
    params = [params] if id(params) in names else [_parameter(member) for member in params]
    if not all(id(parameter) in names for parameter in params):
        raise FieldError("GROUPS", name, "holds what is no parameter of the model: take them from model.named_parameters()")
    for option, value in group.items():
        if option not in OF_A_GROUP:
            raise FieldError(f"{name}.{option}", value, f"cannot differ between groups: give any of {', '.join(OF_A_GROUP)}")
        positive = option in ("lr", "lr_factor")
        allowed = "is no learning rate: give a number above 0" if positive else "is no number: give one of at least 0"
        quantity = real(f"{name}.{option}", value, allowed)
        if not (quantity > 0 or (quantity == 0 and not positive)):
            raise FieldError(f"{name}.{option}", value, allowed)
    if {"lr", "lr_factor"} <= group.keys():
        raise FieldError(f"{name}.lr", group["lr"], "stands beside lr_factor, which says the same: give one of them")
    own = [names[id(parameter)] for parameter in params]
    return Group(name, tuple((option, float(value)) for option, value in group.items()),
                 tuple(parameter for parameter in own if parameter in trained))


def _parameter(member: Any) -> Any:
    """A parameter, also where it comes with its name, as model.named_parameters() gives it."""
    return member[1] if isinstance(member, tuple) and len(member) == 2 and isinstance(member[0], str) else member
