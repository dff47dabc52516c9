"""What a task is: a description that pages can read, and a model with data that a calibration trains.

A task's file imports torch inside its methods only: pages read descriptions and must not load torch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ..rules import TrainingConfig
from ._batch import Batch

if TYPE_CHECKING:
    import torch

    from ._network import Network

SMALLEST = "tiny"  # the size that every task has


@dataclass(frozen=True)
class Defaults:
    """What a calibration of a task starts from: sized for about three minutes on two CPU cores.

    samples: budget of one run after the branch point; warm_samples: length of the warm start; evaluations: how often the judged
    metric is measured after the branch point: the noisier a single value, the more of them an end value has to be the mean of.
    """

    base: TrainingConfig
    target_batch: int
    samples: int
    warm_samples: int
    seeds: int
    evaluations: int = 24


@dataclass(frozen=True)
class Metric:
    """A number that is measured of every run at every evaluation point: the mean of one of the network's measures over a split.

    The judged metric is measured at every evaluation point, the others at some (``training.measuring``). label: what users read;
    unit: of the number; margin: a difference in that unit that is of no practical use (None: 1 % of the
    base arm's end value).
    """

    label: str
    unit: str
    split: Literal["validation", "train"]
    measure: str
    margin: float | None = None
    higher_is_better: bool = False

    @property
    def title(self) -> str:
        """Label and unit, as on an axis."""
        return self.label if self.unit == self.label else f"{self.label} ({self.unit})"


@dataclass(frozen=True)
class NoiseScale:
    """tr(Sigma) / |G|^2 of a task in samples, with its 95 % interval, and in a sentence where it was measured."""

    value: float
    low: float
    high: float
    source: str

    @property
    def safe_batch(self) -> int:
        """The largest batch that lies below it also for another configuration, which may halve it [our choice]."""
        return int(self.low / 2)


class Data(ABC):
    """A task's data on ``device``.

    train_sample, validation: fixed sets on which every run of every arm is measured; draws_alone: whether ``draw`` reads nothing
    but its generator and numbers that nobody changes, so that a thread may draw beside the training: not where it runs a user's
    code, which may draw from the generators that a process has one of.
    """

    draws_alone: ClassVar[bool] = False
    device: torch.device
    train_sample: Batch
    validation: Batch

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator) -> Batch:
        """``count`` independent training samples, with replacement, by a CPU generator.

        Independent draws are the paper's noisy gradient oracle; and because the generator lives on
        the CPU, a seed names the same samples on every device.
        """

    def placed(self, drawn: torch.Tensor) -> torch.Tensor:
        """Numbers from the CPU on the device; a GPU goes on meanwhile with what it has to do."""
        if self.device.type == "cuda":
            return drawn.pin_memory().to(self.device, non_blocking=True)
        return drawn.to(self.device)


class Task(ABC):
    """Model, data, loss and metrics of one thing to train: what a trainer asks of it, and nothing more.

    name: what users type; title, description: what they read; version: raised when results stop
    being comparable with stored ones; sample: what one sample is; train_size: distinct training
    samples; metrics: name -> Metric, in the order shown, the first one judged; sizes: name -> parameters of the model, the
    smallest first, for which the defaults were tested; hopeless: a mean training loss of a batch from which on a run counts as
    diverged, even where it is finite; micro: where the loss of a sample depends on the others (batch norm, contrastive losses),
    the samples of a micro-batch, the unit of which every batch is made in every arm: statistics are taken over one, running
    averages move once for each; noise_scale: of the defaults, None where nobody has measured it; tf32: whether a GPU may round
    what enters a matrix product to TF32, which takes a measurement that the curves stay the same (benchmarks/precision.py).
    """

    name: str
    title: str
    description: str
    version: int
    sample: str
    train_size: int
    metrics: Mapping[str, Metric]
    sizes: Mapping[str, int]
    defaults: Defaults
    hopeless: float = math.inf
    micro: int | None = None
    noise_scale: NoiseScale | None = None
    tf32: bool = False

    @abstractmethod
    def network(self, size: str = SMALLEST) -> Network:
        """The model of that size; ``ModuleNetwork`` makes one of any torch module."""

    @abstractmethod
    def data(self, device: torch.device) -> Data:
        """The data on ``device``."""

    @property
    def samples(self) -> str:
        """``sample`` in the plural: images, windows of 32 bytes."""
        noun, of, rest = self.sample.partition(" of ")
        return f"{noun}s{of}{rest}"

    def model_of(self, size: str) -> str:
        """Its model of that size, for a heading: the size has a name where there are several."""
        return f"{size} model" if len(self.sizes) > 1 else f"a model of {self.sizes[size]:,} parameters"

    @property
    def judged(self) -> str:
        """The name of the metric that a verdict compares."""
        return next(iter(self.metrics))
