"""Samples: tensors that share their first axes, cut, joined and moved together. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Samples on a device: inputs and targets, each a tensor [n, ...], or a tuple or dict of such tensors.

    A batch of a stack of models has an axis more in front, [M, n, ...].
    """

    inputs: Any
    targets: Any

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor, inputs first."""
        yield from _leaves(self.inputs)
        yield from _leaves(self.targets)

    def count(self, axis: int = 0) -> int:
        """Samples along an axis that all tensors have: 0, or 1 for a batch of a stack."""
        return next(self.tensors()).shape[axis]

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed."""
        return Batch(_map(change, self.inputs), _map(change, self.targets))

    def cut(self, *places: int | slice | Tensor) -> Batch:
        """Of every tensor what lies at these places of its first axes."""
        return self.map(lambda x: x[places])

    @staticmethod
    def joined(batches: Sequence[Batch], join: Callable[[list[Tensor]], Tensor]) -> Batch:
        """Several batches as one; join: ``torch.cat`` or ``torch.stack``."""
        inputs, targets = [batch.inputs for batch in batches], [batch.targets for batch in batches]
        return Batch(_joined(join, inputs), _joined(join, targets))


def _leaves(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Mapping):
        tree = tuple(tree.values())
    if isinstance(tree, tuple):
        for branch in tree:
            yield from _leaves(branch)
    else:
        yield tree


def _map(change: Callable[[Tensor], Tensor], tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _map(change, branch) for name, branch in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_map(change, branch) for branch in tree)
    return change(tree)


def _joined(join: Callable[[list[Tensor]], Tensor], trees: Sequence[Any]) -> Any:
    first = trees[0]
    if isinstance(first, Mapping):
        return {name: _joined(join, [tree[name] for tree in trees]) for name in first}
    if isinstance(first, tuple):
        return tuple(_joined(join, branches) for branches in zip(*trees, strict=True))
    return join(list(trees))
