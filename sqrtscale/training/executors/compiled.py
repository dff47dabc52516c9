"""Compiled kernels on a CPU: every model's steps in one call, models side by side on the cores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...tasks import Batch
from ...tasks.transformer import Transformer
from ..threads import ALL_THREADS, use_threads
from ._executor import Executor

if TYPE_CHECKING:
    from ..population import Population

OPTIMIZERS = ("adam", "adamw", "rmsprop")  # that have a kernel
ROWS = 512  # tokens whose activations are held at once: they stay in the cache, and a large batch takes no more memory
NO_TOKENS, NO_PATCHES = np.zeros(0, np.int64), np.zeros((0, 0), np.float32)


class Shape(NamedTuple):
    """The fields of a ``Transformer``; tokens is 0 where the inputs are patches."""

    width: int
    layers: int
    heads: int
    length: int
    classes: int
    tokens: int
    patch: int
    causal: bool


class Rule(NamedTuple):
    """Hyperparameters of one model. beta1 is RMSprop's momentum, beta2 its alpha; clip_norm may be infinite."""

    family: int
    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    warmup: float
    clip_norm: float


class Space(NamedTuple):
    """Activations of one model on some samples, float32; a row is one token.

    Inputs of a matrix product have a last column of ones: a weight [in, out] and the bias behind it are then one matrix
    [in + 1, out], and so is their gradient.
    """

    x: np.ndarray
    normal: np.ndarray
    std: np.ndarray
    affine: np.ndarray
    qkv: np.ndarray
    attention: np.ndarray
    mixed: np.ndarray
    up: np.ndarray
    gate: np.ndarray
    hidden: np.ndarray
    pooled: np.ndarray
    logits: np.ndarray
    thin: np.ndarray
    dx: np.ndarray
    wide: np.ndarray
    dqkv: np.ndarray
    heads: np.ndarray
    scores: np.ndarray


def make_space(n: Shape, samples: int) -> Space:
    """Memory for so many samples; what the kernels do not write is one."""
    d, norms, rows, each = n.width, 2 * n.layers + 1, samples * n.length, n.width // n.heads
    predictions = rows if n.causal else samples

    def take(*shape: int) -> np.ndarray:
        return np.ones(shape, np.float32)

    return Space(
        x=take(norms, rows, d), normal=take(norms, rows, d), std=take(norms, rows), affine=take(norms, rows, d + 1),
        qkv=take(n.layers, rows, 3 * d), attention=take(n.layers, samples, n.heads, n.length, n.length),
        mixed=take(n.layers, rows, d + 1), up=take(n.layers, rows, 4 * d), gate=take(n.layers, rows, 4 * d),
        hidden=take(n.layers, rows, 4 * d + 1), pooled=take(predictions, d + 1),
        logits=take(predictions, n.classes),
        thin=take(rows, d), dx=take(rows, d), wide=take(rows, 4 * d), dqkv=take(rows, 3 * d),
        heads=take(5, n.length, each), scores=take(n.length, n.length),
    )


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


class _Desk(NamedTuple):
    """What one thread needs beside a model: activations of a block of samples and of the last one, gradient, scratch [P]."""

    full: Space
    rest: Space
    gradient: np.ndarray
    scratch: np.ndarray


class _Steps(NamedTuple):
    """Of one model: how many steps, the rule of each, the optimizer's moments [P], and how many steps it has made and taken."""

    count: int
    rule: Rule
    first: np.ndarray
    second: np.ndarray
    made: float = 0.0  # by the optimizer, which bias correction counts
    taken: float = 0.0  # of this run, which warm-up counts


class Compiled(Executor):
    """One call makes many steps of one model; a thread trains one model after another.

    Models are independent calls, so the numbers depend neither on how many threads there are nor on the models beside.
    """

    name = "compiled"
    when = "the built-in transformer with Adam, AdamW or RMSprop on a CPU, where numba and SciPy are installed"
    how = "kernels compiled by numba, one model a core; the same numbers on any number of cores"

    def __init__(self, network: Transformer, device: torch.device):
        from . import kernels

        super().__init__(network, device)
        self.kernels = kernels
        self.shape = Shape(network.width, network.layers, network.heads, network.length, network.classes, network.tokens or 0,
                           network.patch, network.causal)
        self.parameters = sum(math.prod(p.shape) for p in network.parameters().values())
        self.forget()

    def forget(self):
        self.free: dict[int, list[_Desk]] = {}  # by the samples of a batch: those that no thread uses now
        self.nbytes = 0  # memory of all desks

    @classmethod
    def suits(cls, network, optimizer, device):
        return device.type == "cpu" and isinstance(network, Transformer) and optimizer in OPTIMIZERS and available()

    @classmethod
    def starts_at_once(cls):
        """Not for some 15 s where an earlier process has left no compiled steps on the disk."""
        from . import kernels

        folder = kernels.train.stats.cache_path
        made = [path.stat().st_mtime for path in Path(folder).glob("kernels.train-*.nbi")] if folder else []
        return max(made, default=0.0) > Path(kernels.__file__).stat().st_mtime

    def gradients(self, population, batch, weights):
        models, parameters = len(population), population.flat.detach().numpy()
        # Torch's threads are for whoever reads the gradients.
        use_threads(self.device, models * batch.targets.shape[1] * self.network.length * self.network.width)
        gradients, rule = np.empty_like(parameters), Rule(self.kernels.NONE, *[0.0] * 7)

        def work(i: int) -> tuple:
            return self._train(parameters[i], batch, i, weights, _Steps(1, rule, gradients[i], gradients[i]), gradients[i])

        losses = [loss for loss, _, _ in self._each(work, models)]
        return torch.tensor(losses), torch.from_numpy(gradients)

    def evaluate(self, population, split):
        """In double precision."""
        parameters, targets = population.flat.detach().numpy(), split.targets.contiguous().numpy().reshape(-1)
        tokens, patches = self._inputs(split.inputs)

        def work(i: int) -> tuple:
            with self._desk(len(split.targets)) as desk:
                return self.kernels.evaluate(self.shape, desk.full, desk.rest, parameters[i], tokens, patches, targets)

        sums = zip(*self._each(work, len(parameters)), strict=True)
        return tuple(torch.tensor(values, dtype=torch.float64) / len(targets) for values in sums)

    def advance(self, population, samples, reads, count, watch):
        optimizer, parameters, streams = population.optimizer, population.flat.detach().numpy(), reads.tolist()
        (first,) = set(optimizer.state) - {optimizer.second_moment}
        first, second = optimizer.state[first].numpy(), optimizer.state[optimizer.second_moment].numpy()
        made, taken, rules = optimizer.steps.flatten().tolist(), population.taken.item(), self._rules(population)

        def work(i: int) -> tuple:
            steps = _Steps(count, rules[i], first[i], second[i], made[i], taken)
            return self._train(parameters[i], samples, streams[i], population.weights, steps)

        results = zip(*self._each(work, len(parameters)), strict=True)
        worst, clipped, moved = (torch.tensor(values, dtype=torch.float32) for values in results)
        optimizer.steps += count
        population.taken += count
        population.clipped += clipped
        if watch:
            population.update_rms = moved
        return worst

    def peak_bytes(self, population):
        return self.nbytes

    def _rules(self, population: Population) -> list[Rule]:
        """The hyperparameters of every model as the kernels take them."""
        optimizer, models = population.optimizer, len(population)
        family = getattr(self.kernels, type(optimizer).__name__.upper())
        names = ("lr", "momentum", "alpha") if "alpha" in optimizer.exact else ("lr", "beta1", "beta2")
        hyper = [optimizer.exact[name].flatten().tolist() for name in (*names, "eps", "weight_decay")]
        clip_norm = [math.inf] * models if population.clip_norm is None else population.clip_norm.flatten().tolist()
        warmup = population.warmup_steps.flatten().tolist()
        return [Rule(family, *values) for values in zip(*hyper, warmup, clip_norm, strict=True)]

    @staticmethod
    def _each(work: Callable[[int], tuple], models: int) -> list[tuple]:
        """The results of ``work`` for every model."""
        threads = min(ALL_THREADS, models)
        return list(_workers(threads).map(work, range(models)) if threads > 1 else map(work, range(models)))

    def _train(self, parameters: np.ndarray, samples: Batch, stream: int, weights: Sequence[float], steps: _Steps,
               gradient: np.ndarray | None = None) -> tuple:
        """Of one model: the largest loss (or NaN), how many steps were clipped, and the root mean square of the last update."""
        tokens, patches = self._inputs(samples.inputs[stream])
        targets = samples.targets[stream].contiguous().numpy()
        size = len(targets) // steps.count
        # Of a mean over each part, as a factor of the mean over all samples.
        each = np.repeat(np.asarray(weights, np.float32) * len(weights), size // len(weights))
        with self._desk(size) as desk:
            return self.kernels.train(self.shape, steps.rule, desk.full, desk.rest, parameters,
                                      desk.gradient if gradient is None else gradient, desk.scratch, steps.first, steps.second,
                                      tokens, patches, targets.reshape(-1), each, steps.count, steps.made, steps.taken)

    def _inputs(self, inputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Tokens [rows] and patches [rows, patch] of samples, one of them empty."""
        given = inputs.contiguous().numpy()
        return (given.reshape(-1), NO_PATCHES) if self.shape.tokens else (NO_TOKENS, given.reshape(-1, self.shape.patch))

    @contextmanager
    def _desk(self, samples: int) -> Iterator[_Desk]:
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

    def _new_desk(self, samples: int) -> _Desk:
        block, parameters = max(1, min(samples, ROWS // self.shape.length)), self.parameters
        full = make_space(self.shape, block)
        rest = make_space(self.shape, samples % block) if samples % block else full
        made = _Desk(full, rest, np.empty(parameters, np.float32), np.empty(parameters, np.float32))
        self.nbytes += sum(piece.nbytes for space in (full, rest) for piece in space) + 8 * parameters
        return made
