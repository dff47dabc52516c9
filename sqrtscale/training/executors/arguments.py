"""What the compiled kernels are given: shapes, hyperparameters, samples, and memory to work in. Tuples, as numba takes them."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from ...tasks.transformer import Transformer


class Places(NamedTuple):
    """Where the weights begin in the parameters [P] of one model, those of a layer within it; a bias lies behind its weight."""

    entry: int
    position: int
    layers: int
    size: int  # of a layer
    qkv: int
    out: int
    norm2: int
    up: int
    down: int
    norm: int
    head: int

    @classmethod
    def of(cls, network: Transformer) -> Places:
        """As ``Transformer.parameters`` orders them."""
        names, sizes = zip(*((name, math.prod(p.shape)) for name, p in network.parameters().items()), strict=True)
        at = dict(zip(names, accumulate(sizes, initial=0), strict=False))
        layers, norm = at["0.norm1.weight"], at["norm.weight"]
        inside = {name: at[f"0.{name}.weight"] - layers for name in ("qkv", "out", "norm2", "up", "down")}
        return cls(entry=at["entry"], position=at["position"], layers=layers, size=(norm - layers) // network.layers,
                   norm=norm, head=at["head.weight"], **inside)


class Shape(NamedTuple):
    """The fields of a ``Transformer``; tokens is 0 where the inputs are patches. at: where its weights are."""

    width: int
    layers: int
    heads: int
    length: int
    classes: int
    tokens: int
    patch: int
    causal: bool
    at: Places


class Rule(NamedTuple):
    """Hyperparameters of one model. beta1 is RMSprop's momentum, beta2 its alpha; clip_norm may be infinite."""

    family: int
    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
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


class Desk(NamedTuple):
    """What one thread needs beside a model: activations of a block of samples and of the last one, gradient, scratch [P].

    rest: of a batch's last block, which may be smaller than the others.
    """

    full: Space
    rest: Space
    gradient: np.ndarray
    scratch: np.ndarray


class Model(NamedTuple):
    """Parameters and the optimizer's moments of one model, each [P]."""

    parameters: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Samples(NamedTuple):
    """Of all steps of a call, batch behind batch: tokens [rows] or patches [rows, patch], one of them empty; targets of every
    prediction; weights: of the losses of a batch's samples, the same in every batch.
    """

    tokens: np.ndarray
    patches: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class Pace(NamedTuple):
    """lr_factors [steps]: what multiplies the learning rate in every step that is to be made; made: how many steps the optimizer

    has made before, which bias correction counts.
    """

    lr_factors: np.ndarray
    made: float = 0.0
