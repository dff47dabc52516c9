"""Populations on a CPU: every model's steps in one compiled call, models side by side on the cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..tasks import Batch
from ..tasks.transformer import Transformer
from .optimizers import StackedOptimizer

WIDEST = 64  # of a model that one core trains as fast as many
ROWS = 512  # tokens whose activations are held at once: they stay in the cache, and a large batch takes no more memory
ALL_THREADS = torch.get_num_threads()
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


def starts_at_once(network: object, models: int, device: torch.device) -> bool:
    """False where a compiler must run first, for some 15 s: an earlier process has left no compiled steps on the disk."""
    if not suits(network, models, device):
        return True
    from . import kernels

    folder = kernels.train.stats.cache_path
    made = [path.stat().st_mtime for path in Path(folder).glob("kernels.train-*.nbi")] if folder else []
    return max(made, default=0.0) > Path(kernels.__file__).stat().st_mtime


def suits(network: object, models: int, device: torch.device) -> bool:
    """Whether a population trains this way: not where a few wide models would leave most of the cores idle."""
    busy = isinstance(network, Transformer) and (network.width <= WIDEST or 2 * models >= ALL_THREADS)
    return device.type == "cpu" and busy and available()


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


class Compiled:
    """Gradients and steps of a population with parameters ``flat`` [M, P] (float32, on the CPU), in place.

    Models are independent calls, so the numbers do not depend on how many threads there are.
    """

    def __init__(self, network: Transformer, flat: Tensor):
        from . import kernels

        self.kernels = kernels
        self.shape = Shape(network.width, network.layers, network.heads, network.length, network.classes, network.tokens or 0,
                           network.patch, network.causal)
        self.parameters = flat.detach().numpy()
        self.free: dict[int, list[_Desk]] = {}  # by the samples of a batch: those that no thread uses now
        self.nbytes = 0  # memory of all desks

    def gradients(self, batch: Batch, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Losses [M] and gradients [M, P] on batch [M, B, ...]; weights: of the gradients of equal parts of the batch."""
        found = np.empty_like(self.parameters)
        rule = Rule(self.kernels.NONE, *[0.0] * 7)
        said = self._each(lambda i: self._train(i, batch, i, weights, 1, rule, found[i], found[i], gradient=found[i]))
        return torch.tensor([loss for loss, _, _ in said]), torch.from_numpy(found)

    def evaluate(self, split: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss and share of right predictions of every model on the same samples [n, ...], each [M] in double precision."""
        n, (tokens, patches), targets = self.shape, self._inputs(split.inputs), split.targets.contiguous().numpy().reshape(-1)

        def work(row: int) -> tuple:
            with self._desk(len(split.targets)) as desk:
                return self.kernels.evaluate(n, desk.full, desk.rest, self.parameters[row], tokens, patches, targets)

        return tuple(torch.tensor(found, dtype=torch.float64) / len(targets) for found in zip(*self._each(work), strict=True))

    def advance(self, optimizer: StackedOptimizer, samples: Batch, reads: Sequence[int], weights: Sequence[float], count: int,
                taken: float, warmup: Sequence[float], clip_norm: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
        """``count`` steps of every model on samples [streams, count * B, ...], model i on stream ``reads[i]``.

        taken: steps of this run before, which warm-up counts. Returns of each model, [M]: the largest loss (or NaN), how many
        steps were clipped, and the root mean square of the last update.
        """
        family = getattr(self.kernels, type(optimizer).__name__.upper())
        names = ("lr", "momentum", "alpha") if "alpha" in optimizer.exact else ("lr", "beta1", "beta2")
        hyper = [optimizer.exact[name].flatten().tolist() for name in (*names, "eps", "weight_decay")]
        rules = [Rule(family, *values) for values in zip(*hyper, warmup, clip_norm, strict=True)]
        (first,) = set(optimizer.state) - {optimizer.second_moment}
        first, second = optimizer.state[first].numpy(), optimizer.state[optimizer.second_moment].numpy()
        made = optimizer.steps.flatten().tolist()
        said = self._each(lambda i: self._train(i, samples, reads[i], weights, count, rules[i], first[i], second[i],
                                                made[i], taken))
        optimizer.steps += count
        return tuple(torch.tensor(values, dtype=torch.float32) for values in zip(*said, strict=True))

    def _each(self, work: Callable[[int], tuple]) -> list[tuple]:
        """The results of ``work`` for every model."""
        models, threads = range(len(self.parameters)), min(ALL_THREADS, len(self.parameters))
        return list(_workers(threads).map(work, models) if threads > 1 else map(work, models))

    def _train(self, row: int, samples: Batch, stream: int, weights: Sequence[float], count: int, rule: Rule, first: np.ndarray,
               second: np.ndarray, made: float = 0.0, taken: float = 0.0, gradient: np.ndarray | None = None) -> tuple:
        tokens, patches = self._inputs(samples.inputs[stream])
        targets = samples.targets[stream].contiguous().numpy()
        size = len(targets) // count
        # Of a mean over each part, as a factor of the mean over all samples.
        each = np.repeat(np.asarray(weights, np.float32) * len(weights), size // len(weights))
        with self._desk(size) as desk:
            return self.kernels.train(self.shape, rule, desk.full, desk.rest, self.parameters[row],
                                      desk.gradient if gradient is None else gradient, desk.scratch, first, second,
                                      tokens, patches, targets.reshape(-1), each, count, made, taken)

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
        block, parameters = max(1, min(samples, ROWS // self.shape.length)), self.parameters.shape[1]
        full = make_space(self.shape, block)
        rest = make_space(self.shape, samples % block) if samples % block else full
        made = _Desk(full, rest, np.empty(parameters, np.float32), np.empty(parameters, np.float32))
        self.nbytes += sum(piece.nbytes for space in (full, rest) for piece in space) + 8 * parameters
        return made
