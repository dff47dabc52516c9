"""What an executor is: the way in which a population's steps are carried out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...tasks import Batch, Network
from ..chance import Chance
from ..streams import DRAW_AT_ONCE
from ..threads import ALL_THREADS

if TYPE_CHECKING:
    from ..population import Population

# Floating-point operations of one call of ``advance``: a fraction of a second, after which progress can be told.
WORK = {"cpu": 4e9, "cuda": 1e12}
# Numbers in the copies that measure several batches in one pass: on a CPU of each model, for its bits must not depend on how many
# train beside it; on a GPU of all models.
COPIES = {"cpu": 2**16, "cuda": 2**24}
MOST_STEPS = {"cpu": DRAW_AT_ONCE, "cuda": 16}  # of a call; a GPU works on while Python begins the next


class Executor(ABC):
    """Carries out the steps of one population, in place on its tensors; what it keeps itself is memory that it works in.

    name: what is stored with every run, and part of its identity; when, how: the line of the table in docs/executors.md.
    """

    name: ClassVar[str]
    when: ClassVar[str]
    how: ClassVar[str]

    def __init__(self, network: Network, device: torch.device):
        self.network = network
        self.device = device

    @classmethod
    @abstractmethod
    def suits(cls, network: Network, optimizer: str, device: torch.device) -> bool:
        """Whether it trains this network with this optimizer family there.

        Nothing else may count, least of all how many models train together: a run is computed alike beside any others.
        """

    @classmethod
    def starts_at_once(cls) -> bool:
        """False where a compiler must run before the first step."""
        return True

    @abstractmethod
    def gradients(self, population: Population, batch: Batch, weights: Sequence[float], chance: Chance,
                  buffers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Losses [M] and gradients [M, P] of every model on batch [M, B, ...].

        weights: of the gradients of as many equal parts of the batch; the losses are unweighted means. buffers [M, ...] are
        changed in place where the network does that in training.
        """

    @abstractmethod
    def advance(self, population: Population, samples: Batch, reads: Tensor, lr_factors: np.ndarray, watch: bool) -> Tensor:
        """A step for every row of lr_factors [steps, M], which multiply the learning rates.

        On consecutive batches of samples [streams, steps * drawn, ...], model i on stream ``reads[i]``. Returns the largest loss
        [M] of each model, or NaN where one was. watch: keep how far the last step went in the population's ``update_rms``.
        """

    @abstractmethod
    def evaluate(self, population: Population, split: Batch) -> dict[str, Tensor]:
        """The network's measures, each a mean over the same samples [n, ...] for every model: name -> [M], double precision."""

    @abstractmethod
    def peak_bytes(self, population: Population) -> int:
        """Memory of the passes made so far, at the largest batch, beside the models themselves."""

    def kept_bytes(self, population: Population) -> int:
        """Memory that it holds between two steps, beside the models and what a pass takes."""
        return 0

    def carried_out(self) -> str:
        """How the last steps were, where there is more than one way: for people."""
        return ""

    @abstractmethod
    def forget(self) -> None:
        """Let go of what depends on the places of the population's tensors: they have moved, or nobody trains it any more."""

    def steps_at_once(self, population: Population) -> int:
        """How many steps one call of ``advance`` should make: from their size, never from a timing; no more than is drawn."""
        at_once = ALL_THREADS if self.device.type == "cpu" else 1
        work = self.work(population, -(-len(population) // at_once))
        most = min(MOST_STEPS.get(self.device.type, 1), DRAW_AT_ONCE // population.drawn)
        return max(1, min(int(WORK.get(self.device.type, 0) / work), most))

    def batches_at_once(self, population: Population) -> int:
        """Of how many batches one pass should give the gradients, each by a copy of the model: from their size alone."""
        models, parameters = population.flat.shape
        numbers = parameters if self.device.type == "cpu" else models * parameters
        stacks = self.network.stacked and population.loss_scale is None
        return max(1, COPIES.get(self.device.type, 0) // numbers) if stacks else 1

    def work(self, population: Population, models: int) -> int:
        """Floating-point operations of a step of so many models."""
        return 6 * population.flat.shape[1] * population.drawn * self.network.length * models
