"""What a network is: a model without its weights, and what is trained and measured of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
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
    length, width: places (tokens, pixels) of a sample in the largest layer, and numbers in each: threads and memory are judged
    by them.
    """

    stacked: ClassVar[bool] = True
    length: int
    width: int

    @abstractmethod
    def parameters(self) -> dict[str, Parameter]:
        """What is trained: name -> Parameter, in the order in which ``initial`` has them."""

    @abstractmethod
    def initial(self, seed: int) -> Tensor:
        """Parameters [P] of one model at its start, one behind the other; the same for the same seed."""

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

    @abstractmethod
    def losses(self, predictions: Any, targets: Any) -> Tensor:
        """The loss of each sample, [M, B] (or [B] of a single model); a further axis holds equal parts of a sample's loss."""

    def measures(self, predictions: Any, targets: Any) -> dict[str, Tensor]:
        """Name -> value of each sample, shaped like the losses; what a metric of the task may be the mean of."""
        return {"loss": self.losses(predictions, targets)}
