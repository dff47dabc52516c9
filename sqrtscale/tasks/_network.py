"""What a network is: a model without its weights, and what is trained and measured of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Parameter:
    """A parameter of one model: its shape and how it starts (normal with ``std``, or ``constant``)."""

    shape: tuple[int, ...]
    std: float = 0.0
    constant: float = 0.0


class Network(ABC):
    """The architecture of a model and its loss, as functions of weights that somebody else holds.

    stacked: whether a call takes M models at once, parameters [M, *shape] and inputs [M, B, ...], or one, without M. A stacked
    network draws no random numbers; a single one may, from torch's own generators, which are seeded before every call.
    per_sample: whether ``losses`` has the loss of each sample, or the mean of a batch alone, [M, 1] (or [1]).
    recordable: whether a pass is operations on a device and nothing else, so that a CUDA graph can hold it.
    loads: whether a pass loads its samples, so that it helps to ``expect`` which come next.
    scaled: whether its losses are computed in float16, so that they are scaled before the backward pass.
    groups: name of a parameter -> of its parameter group; left out are those that the configuration's own values hold for.
    length, width: places (tokens, pixels) of a sample in the largest layer, and numbers in each: threads and memory are judged
    by them.
    """

    stacked: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    recordable: ClassVar[bool] = True
    loads: bool = False
    scaled: bool = False
    groups: Mapping[str, str] = MappingProxyType({})
    length: int
    width: int

    @abstractmethod
    def parameters(self) -> dict[str, Parameter]:
        """What is trained: name -> Parameter, in the order in which ``initial`` has them."""

    def initial(self, seed: int) -> Tensor:
        """Parameters [P] of one model at its start, one behind the other; the same for the same seed."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        return torch.cat([
            (torch.randn(p.shape, generator=generator) * p.std if p.std else torch.full(p.shape, p.constant)).flatten()
            for p in self.parameters().values()])

    def buffers(self, seed: int) -> dict[str, Tensor]:
        """What one model holds, does not train and changes in training, at its start: running averages, for example."""
        return {}

    def frozen(self, seed: int) -> dict[str, Tensor]:
        """What one model holds and nothing changes: weights that are not trained."""
        return {}

    @abstractmethod
    def __call__(self, parameters: Mapping[str, Tensor], inputs: Any, buffers: Mapping[str, Tensor], training: bool) -> Any:
        """The predictions from inputs as the task's data have them.

        buffers: those and what is frozen; in training, buffers may be changed in place.
        """

    def expect(self, inputs: Iterable[Any]) -> None:  # noqa: B027
        """Inputs of the training passes that come next, in their order: those of the next one may be loaded ahead. Any may be
        left out, and others may come in between."""

    @abstractmethod
    def losses(self, predictions: Any, targets: Any) -> Tensor:
        """The loss of each sample, [M, B] (or [B] of a single model); a further axis holds equal parts of a sample's loss."""

    def measures(self, predictions: Any, targets: Any) -> dict[str, Tensor]:
        """Name -> value of each sample, shaped like the losses; what a metric of the task may be the mean of."""
        return {"loss": self.losses(predictions, targets)}
