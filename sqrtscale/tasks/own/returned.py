"""What the functions of a user's file have returned, checked: the data of a split, a loss, metrics."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from ...rules import FieldError

FEW = 8  # samples, on which nobody trains


def tensors_of(dataset: Any) -> dict[Any, Tensor] | None:
    """The tensors of data that are a tuple or dictionary of them; None of data with samples one by one."""
    named = dict(enumerate(dataset)) if isinstance(dataset, tuple) else dataset if isinstance(dataset, dict) else None
    return named if named and all(isinstance(tensor, Tensor) for tensor in named.values()) else None


def count_of(dataset: Any, split: str) -> int:
    """How many samples data have. Raises FieldError for what are none, and what ``len`` raises."""
    tensors = tensors_of(dataset)
    if tensors is not None:
        lengths = {len(tensor) if tensor.dim() else -1 for tensor in tensors.values()}
        if len(lengths) != 1 or -1 in lengths:
            raise FieldError("data", split, f"has tensors of {sorted(lengths)} samples: give them the same first axis")
        return lengths.pop()
    if isinstance(dataset, dict) and dataset and 0 not in dataset:
        name, value = next((name, value) for name, value in dataset.items() if not isinstance(value, Tensor))
        raise FieldError("data", split, f"is a dictionary with a {type(value).__name__} as {name!r}: give tensors alone, of "
                                        "one first axis, or a list of samples")
    if isinstance(dataset, tuple | list) and _are_columns(dataset):
        raise FieldError("data", split, f"is a {type(dataset).__name__} of {len(dataset)} arrays: return a tuple of tensors, for "
                                        "example tuple(map(torch.as_tensor, arrays))")
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise FieldError("data", split, f"is a {type(dataset).__name__}: return a tuple of tensors, or what has __len__ and "
                                        "__getitem__ (a torch Dataset, a list)")
    return len(dataset)


def _are_columns(dataset: Sequence[Any]) -> bool:
    """Whether these are whole columns, inputs and targets, and no samples: a few arrays of one length, which is larger.

    A list may also hold a few large samples, but these are all of one kind.
    """
    if not 2 <= len(dataset) < FEW:
        return False
    shapes = [getattr(part, "shape", ()) for part in dataset]
    kinds = {(len(shape), str(getattr(part, "dtype", ""))) for shape, part in zip(shapes, dataset, strict=True)}
    lengths = {shape[0] if shape else 0 for shape in shapes}
    return len(lengths) == 1 and lengths.pop() >= FEW and (len(kinds) > 1 or isinstance(dataset, tuple))


def loss_of(value: Any) -> Tensor:
    """A loss [], in full precision, with a gradient where it is asked for. Raises FieldError."""
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
        raise FieldError("loss", _described(value), "is no scalar: return one number, the mean over the batch, as a tensor of "
                                                    "floating point")
    if torch.is_grad_enabled() and not value.requires_grad:
        raise FieldError("loss", _described(value), "has no gradient: compute it from what the model returns, by torch, without "
                                                    "detach(), item(), numpy() or no_grad()")
    return value.float().reshape(())


def metrics_of(values: Any) -> dict[str, Tensor]:
    """Name -> mean [], of numbers of torch, NumPy or Python, counts and truth values among them. Raises FieldError."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) and name.isidentifier() for name in values):
        raise FieldError("metrics", values, 'is no dictionary of names and means: return one, {"accuracy": ...}')
    if "loss" in values:
        raise FieldError("metrics", list(values), "names a metric loss, which is measured anyway: give it another name")
    return {name: _number(name, value) for name, value in values.items()}


def _number(name: str, value: Any) -> Tensor:
    number = value
    if isinstance(value, numbers.Real) or hasattr(value, "__array__"):
        with suppress(TypeError, ValueError, RuntimeError):  # a kind of number that torch has not, as Fraction
            number = torch.as_tensor(float(value) if isinstance(value, numbers.Real) else value)
    if not isinstance(number, Tensor) or number.numel() != 1 or number.is_complex():
        raise FieldError(f"metrics: {name}", _described(value), "is no number: return one, the mean over the batch")
    return number.detach().float().reshape(())


def _described(value: Any) -> str:
    return f"tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
