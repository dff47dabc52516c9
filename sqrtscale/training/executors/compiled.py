"""Compiled kernels on a CPU: every model's steps in one call, models side by side on the cores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from ...rules import FieldError
from ...tasks import Batch, Network
from ...tasks.transformer import Transformer
from ..chance import Chance
from ..optimizers import optimizer_class
from ..threads import ALL_THREADS, use_threads
from ._executor import Executor
from .arguments import Desk, Model, Pace, Places, Rule, Samples, Shape, make_space

if TYPE_CHECKING:
    from ..population import Population

Result = TypeVar("Result")
ROWS = 512  # tokens whose activations are held at once: they stay in the cache, and a large batch takes no more memory
ONE_STEP = np.ones(1)  # factor of a learning rate that nothing multiplies
NO_TOKENS, NO_PATCHES = np.zeros(0, np.int64), np.zeros((0, 0), np.float32)


@cache
def available() -> bool:
    """Whether what compiles is installed, and the BLAS that it calls; loads both."""
    try:
        import numba  # noqa: F401
        import scipy.linalg.cython_blas  # noqa: F401
    except ImportError:
        return False
    return True


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    # Denormal numbers are a setting of each thread. Compiled code lets other threads run.
    return ThreadPoolExecutor(count, initializer=torch.set_flush_denormal, initargs=(True,))


class Compiled(Executor):
    """One call makes many steps of one model; a thread trains one model after another.

    Models are independent calls, so the numbers depend neither on how many threads there are nor on the models beside.
    """

    name = "compiled"
    when = "the built-in transformer with Adam, AdamW or RMSprop on a CPU, where numba and SciPy are installed"
    how = "kernels compiled by numba, one model a core; the same numbers on any number of cores"

    def __init__(self, network: Network, device: torch.device):
        from . import kernels

        super().__init__(network, device)
        assert isinstance(network, Transformer)  # what suits it
        self.kernels = kernels
        self.shape = Shape(network.width, network.layers, network.heads, network.length, network.classes, network.tokens or 0,
                           network.patch, network.causal, Places.of(network))
        self.parameters = sum(math.prod(p.shape) for p in network.parameters().values())
        self.forget()

    def forget(self) -> None:
        self.free: dict[int, list[Desk]] = {}  # by the samples of a batch: those that no thread uses now
        self.nbytes = 0  # memory of all desks

    @classmethod
    def suits(cls, network: Network, optimizer: str, device: torch.device) -> bool:
        # No subclass: that may have another loss.
        return (device.type == "cpu" and type(network) is Transformer and optimizer_class(optimizer).kernel is not None
                and available())

    @classmethod
    def starts_at_once(cls) -> bool:
        """Not for some 15 s where an earlier process has left no compiled steps on the disk."""
        from . import kernels

        return kernels.is_kept(kernels.train)

    def gradients(self, population: Population, batch: Batch, weights: Sequence[float], chance: Chance,
                  buffers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        models, parameters = len(population), population.flat.detach().numpy()
        # Torch's threads are for whoever reads the gradients.
        use_threads(self.device, models * batch.count(1) * self.network.length * self.network.width)
        gradients, rule = np.empty(parameters.shape, np.float32), Rule(self.kernels.NONE, *[0.0] * 6)

        def work(i: int) -> tuple[float, int, float]:
            row = gradients[i]
            return self._train(rule, Model(parameters[i], row, row), self._samples(batch, i, weights), Pace(ONE_STEP), row)

        losses = [loss for loss, _, _ in self._each(work, models)]
        return torch.tensor(losses), torch.from_numpy(gradients)

    def evaluate(self, population: Population, split: Batch) -> dict[str, Tensor]:
        """In double precision."""
        parameters = population.flat.detach().numpy()
        samples = self._samples(split.map(lambda x: x[None]), 0, (1.0,))

        def work(i: int) -> tuple[float, int]:
            with self._desk(split.count()) as desk:
                total, right = self.kernels.evaluate(self.shape, desk, parameters[i], samples)
                return total, right

        sums = zip(*self._each(work, len(parameters)), strict=True)
        return {name: torch.tensor(values, dtype=torch.float64) / len(samples.targets)
                for name, values in zip(("loss", "accuracy"), sums, strict=True)}

    def advance(self, population: Population, samples: Batch, reads: Tensor, lr_factors: np.ndarray, watch: bool) -> Tensor:
        optimizer, parameters, streams = population.optimizer, population.flat.detach().numpy(), reads.tolist()
        assert optimizer.kernel is not None  # what suits
        first, second = (optimizer.state[name].numpy() for name in optimizer.kernel.state)
        made, rules, count = optimizer.steps.flatten().tolist(), self._rules(population), len(lr_factors)

        def work(i: int) -> tuple[float, int, float]:
            own = self._samples(samples, streams[i], population.weights, count)
            pace = Pace(np.ascontiguousarray(lr_factors[:, i]), made[i])
            return self._train(rules[i], Model(parameters[i], first[i], second[i]), own, pace)

        results = zip(*self._each(work, len(parameters)), strict=True)
        worst, clipped, moved = (torch.tensor(values, dtype=torch.float32) for values in results)
        optimizer.steps += count
        population.clipped += clipped
        if watch:
            population.update_rms = moved
        return worst

    def peak_bytes(self, population: Population) -> int:
        return self.nbytes

    def _rules(self, population: Population) -> list[Rule]:
        """The hyperparameters of every model as the kernels take them."""
        optimizer, models = population.optimizer, len(population)
        assert optimizer.kernel is not None
        family = getattr(self.kernels, optimizer.kernel.family)
        hyper = [optimizer.exact[name].flatten().tolist() for name in optimizer.kernel.hyperparameters]
        clip_norm = [math.inf] * models if population.clip_norm is None else population.clip_norm.flatten().tolist()
        return [Rule(family, *values) for values in zip(*hyper, clip_norm, strict=True)]

    @staticmethod
    def _each(work: Callable[[int], Result], models: int) -> list[Result]:
        """The results of ``work`` for every model."""
        threads = min(ALL_THREADS, models)
        return list(_workers(threads).map(work, range(models)) if threads > 1 else map(work, range(models)))

    def _train(self, rule: Rule, model: Model, samples: Samples, pace: Pace, gradient: np.ndarray | None = None
               ) -> tuple[float, int, float]:
        """Of one model: the largest loss (or NaN), how many steps were clipped, and the root mean square of the last update."""
        with self._desk(len(samples.weights)) as desk:
            own = desk if gradient is None else desk._replace(gradient=gradient)
            worst, clipped, moved = self.kernels.train(self.shape, rule, own, model, samples, pace)
            return worst, clipped, moved

    def _samples(self, batches: Batch, stream: int, weights: Sequence[float], count: int = 1) -> Samples:
        """One stream's samples of ``count`` batches. weights: of the gradients of equal parts of a batch.

        Raises FieldError for what a kernel, which checks no index, would read or write beside its arrays.
        """
        inputs, targets = (x.contiguous().numpy() for x in batches.cut(stream).tensors())
        _check_range("target", targets, self.shape.classes)
        if self.shape.tokens:
            _check_range("token", inputs, self.shape.tokens)
        # Of a mean over each part, as a factor of the mean over all samples.
        each = np.repeat(np.asarray(weights, np.float32) * len(weights), len(targets) // count // len(weights))
        tokens, patches = ((inputs.reshape(-1), NO_PATCHES) if self.shape.tokens
                           else (NO_TOKENS, inputs.reshape(-1, self.shape.patch)))
        return Samples(tokens, patches, targets.reshape(-1), each)

    @contextmanager
    def _desk(self, samples: int) -> Iterator[Desk]:
        """A desk for batches of so many samples that no other thread uses meanwhile."""
        free = self.free.setdefault(samples, [])
        try:
            desk = free.pop()
        except IndexError:
            desk = self._new_desk(samples)
        try:
            yield desk
        finally:
            free.append(desk)

    def _new_desk(self, samples: int) -> Desk:
        block, parameters = max(1, min(samples, ROWS // self.shape.length)), self.parameters
        full = make_space(self.shape, block)
        rest = make_space(self.shape, samples % block) if samples % block else full
        made = Desk(full, rest, np.empty(parameters, np.float32), np.empty(parameters, np.float32))
        self.nbytes += sum(piece.nbytes for space in (full, rest) for piece in space) + 8 * parameters
        return made


def _check_range(name: str, values: np.ndarray, count: int) -> None:
    for value in (int(values.min()), int(values.max())):
        if not 0 <= value < count:
            raise FieldError(name, value, f"is out of range: the network has {count}, so give 0 to {count - 1}")
