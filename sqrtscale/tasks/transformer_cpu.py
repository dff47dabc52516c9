"""Loss and gradient of the same transformer on a CPU, written out by hand in NumPy.

A step of a small model is bound by the cost of calling operations. NumPy's calls cost a fraction of torch's, autograd's
bookkeeping falls away, and every result goes into memory taken once. The tests hold it to autograd through ``Transformer``.
"""

from __future__ import annotations

import math

import numpy as np

from .transformer import Transformer

GELU, CUBE = 2 * math.sqrt(2 / math.pi), 0.044715  # gelu(u) = u sigmoid(GELU (u + CUBE u^3)), the tanh form said otherwise
LAYER_NORM_EPS = 1e-5  # torch's default


class Workspace:
    """Activations of ``models`` models on ``samples`` samples each, float32, used again by every call.

    Row r of an activation [models, rows, ...] is sample r // length, token r % length. Inputs of a matrix product have a last
    column of ones: a weight [in, out] and the bias behind it are then one matrix [in + 1, out], and so is their gradient.
    """

    def __init__(self, network: Transformer, models: int, samples: int):
        d, heads, length, layers = network.width, network.heads, network.length, network.layers
        self.network, self.models, self.samples = network, models, samples
        self.rows = rows = samples * length

        def take(*shape: int) -> np.ndarray:
            return np.empty(shape, np.float32)

        def with_ones(count: int, width: int) -> np.ndarray:
            return np.ones((models, count, width + 1), np.float32)

        by_head = (models * samples, heads, length, d // heads)
        norms = range(2 * layers + 1)
        self.x, self.normal = ([take(models, rows, d) for _ in norms] for _ in range(2))
        self.std = [take(models, rows, 1) for _ in norms]
        self.affine = [with_ones(rows, d) for _ in norms]
        self.qkv = [take(3, *by_head) for _ in range(layers)]
        self.attention = [take(models * samples, heads, length, length) for _ in range(layers)]
        self.mixed = [with_ones(rows, d) for _ in range(layers)]
        self.up, self.gate = ([take(models, rows, 4 * d) for _ in range(layers)] for _ in range(2))
        self.hidden = [with_ones(rows, 4 * d) for _ in range(layers)]
        self.pooled = None if network.causal else with_ones(samples, d)
        # What a single operation needs beside its result.
        self.thin, self.thin2, self.dx = (take(models, rows, d) for _ in range(3))
        self.wide, self.wide2, self.packed = take(models, rows, 4 * d), take(models, rows, 4 * d), take(models, rows, 3 * d)
        self.heads, self.dqkv, self.scores = take(*by_head), take(3, *by_head), take(models * samples, heads, length, length)
        self.mean = take(models, rows, 1)
        self.averaging = np.full((d, 1), 1 / d, np.float32)
        self.future = np.triu(np.full((length, length), -np.inf, np.float32), 1) if network.causal else None
        # The same memory seen as heads: [samples, heads, token, width / heads].
        shape = (models * samples, length, heads, d // heads)
        whole = (models * samples, length, d + 1)
        self.mixed_heads = [x.reshape(whole)[..., :d].reshape(shape).transpose(0, 2, 1, 3) for x in self.mixed]
        self.packed_heads = self.packed.reshape(models * samples, length, 3, heads, d // heads).transpose(2, 0, 3, 1, 4)
        self.thin_heads = self.thin.reshape(shape).transpose(0, 2, 1, 3)

    def nbytes(self) -> int:
        """Memory of all of it."""
        held = [value for found in vars(self).values() for value in (found if isinstance(found, list) else [found])]
        return sum(value.nbytes for value in held if isinstance(value, np.ndarray) and value.base is None)


class Gradients:
    """Losses and gradients of some models, whose parameters and gradients are flat arrays [m, P] (float32), in place."""

    def __init__(self, space: Workspace, parameters: np.ndarray, gradients: np.ndarray):
        self.space = space
        self.p, self.dp = (_pieces(space.network, flat) for flat in (parameters, gradients))
        self.back = {name: piece[:, :-1].swapaxes(1, 2) for name, piece in self.p.items() if piece.shape[1] > 1}

    @np.errstate(all="ignore")  # the losses say it where a model has diverged
    def __call__(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Writes the gradients; returns the plain mean losses [m]. weights [samples]: of each sample's loss in the gradient."""
        space, network = self.space, self.space.network
        models, samples, length, d = space.models, space.samples, network.length, network.width
        self._enter(inputs)
        for i in range(network.layers):
            self._attend(i)
            self._expand(i)
        found = self._norm(2 * network.layers, "norm")
        if not network.causal:
            np.add.reduce(found.reshape(models, samples, length, d + 1), 2, out=space.pooled)
            space.pooled *= np.float32(1 / length)
            found = space.pooled
        losses, dlogits = self._loss(np.matmul(found, self.p["head"]), targets, weights)
        np.matmul(found.swapaxes(1, 2), dlogits, out=self.dp["head"])
        if network.causal:
            np.matmul(dlogits, self.back["head"], out=space.thin)
        else:
            each = np.matmul(dlogits, self.back["head"])
            each *= np.float32(1 / length)
            space.thin.reshape(models, samples, length, d)[...] = each[:, :, None]
        space.dx[...] = 0
        self._norm_back(2 * network.layers, "norm")
        for i in reversed(range(network.layers)):
            self._expand_back(i)
            self._attend_back(i)
        self._enter_back(inputs)
        return losses

    def _enter(self, inputs: np.ndarray) -> None:
        space, network, x = self.space, self.space.network, self.space.x[0]
        if network.tokens:
            x[...] = self.p["entry"][np.arange(space.models)[:, None], inputs.reshape(space.models, -1)]
        else:
            np.matmul(inputs.reshape(space.models, space.rows, -1), self.p["entry"], out=x)
        x = x.reshape(space.models, space.samples, network.length, network.width)
        x += self.p["position"][:, None]

    def _enter_back(self, inputs: np.ndarray) -> None:
        space, network, dx = self.space, self.space.network, self.space.dx
        np.add.reduce(dx.reshape(space.models, space.samples, network.length, network.width), 1, out=self.dp["position"])
        if network.tokens:
            self.dp["entry"][...] = 0
            np.add.at(self.dp["entry"], (np.arange(space.models)[:, None], inputs.reshape(space.models, -1)), dx)
        else:
            np.matmul(inputs.reshape(space.models, space.rows, -1).swapaxes(1, 2), dx, out=self.dp["entry"])

    def _norm(self, k: int, name: str) -> np.ndarray:
        """Layer norm of x[k], with its weight and bias, and the column of ones."""
        space = self.space
        x, normal, std, affine = space.x[k], space.normal[k], space.std[k], space.affine[k]
        np.matmul(x, space.averaging, out=space.mean)
        np.subtract(x, space.mean, out=normal)
        np.multiply(normal, normal, out=space.thin)
        np.matmul(space.thin, space.averaging, out=std)
        std += np.float32(LAYER_NORM_EPS)
        np.sqrt(std, out=std)
        normal /= std
        np.multiply(normal, self.p[name + ".weight"], out=affine[..., :-1])
        affine[..., :-1] += self.p[name + ".bias"]
        return affine

    def _norm_back(self, k: int, name: str) -> None:
        """From the gradient at the result, in ``thin``, to the one at x[k], added to ``dx``."""
        space, da, normal = self.space, self.space.thin, self.space.normal[k]
        np.add.reduce(da, 1, out=self.dp[name + ".bias"][:, 0])
        np.multiply(da, normal, out=space.thin2)
        np.add.reduce(space.thin2, 1, out=self.dp[name + ".weight"][:, 0])
        da *= self.p[name + ".weight"]
        space.thin2 *= self.p[name + ".weight"]
        np.matmul(space.thin2, space.averaging, out=space.mean)
        np.multiply(normal, space.mean, out=space.thin2)
        np.matmul(da, space.averaging, out=space.mean)
        da -= space.mean
        da -= space.thin2
        da /= space.std[k]
        space.dx += da

    def _attend(self, i: int) -> None:
        space, network = self.space, self.space.network
        qkv, attention = space.qkv[i], space.attention[i]
        np.matmul(self._norm(2 * i, f"{i}.norm1"), self.p[f"{i}.qkv"], out=space.packed)
        qkv[...] = space.packed_heads
        q, k, v = qkv
        q *= np.float32(1 / math.sqrt(network.width // network.heads))
        np.matmul(q, k.swapaxes(-1, -2), out=attention)
        if space.future is not None:
            attention += space.future
        attention -= np.maximum.reduce(attention, -1, keepdims=True)
        np.exp(attention, out=attention)
        attention /= np.add.reduce(attention, -1, keepdims=True)
        np.matmul(attention, v, out=space.heads)
        space.mixed_heads[i][...] = space.heads
        np.matmul(space.mixed[i], self.p[f"{i}.out"], out=space.x[2 * i + 1])
        space.x[2 * i + 1] += space.x[2 * i]

    def _attend_back(self, i: int) -> None:
        space, network = self.space, self.space.network
        attention, scores, (q, k, v), (dq, dk, dv) = space.attention[i], space.scores, space.qkv[i], space.dqkv
        np.matmul(space.mixed[i].swapaxes(1, 2), space.dx, out=self.dp[f"{i}.out"])
        np.matmul(space.dx, self.back[f"{i}.out"], out=space.thin)
        space.heads[...] = space.thin_heads
        np.matmul(attention.swapaxes(-1, -2), space.heads, out=dv)
        np.matmul(space.heads, v.swapaxes(-1, -2), out=scores)
        scores *= attention
        attention *= np.add.reduce(scores, -1, keepdims=True)
        scores -= attention
        np.matmul(scores, k, out=dq)
        dq *= np.float32(1 / math.sqrt(network.width // network.heads))
        np.matmul(scores.swapaxes(-1, -2), q, out=dk)  # q holds the factor already
        space.packed_heads[...] = space.dqkv
        np.matmul(space.affine[2 * i].swapaxes(1, 2), space.packed, out=self.dp[f"{i}.qkv"])
        np.matmul(space.packed, self.back[f"{i}.qkv"], out=space.thin)
        self._norm_back(2 * i, f"{i}.norm1")

    def _expand(self, i: int) -> None:
        space = self.space
        u, gate = space.up[i], space.gate[i]
        np.matmul(self._norm(2 * i + 1, f"{i}.norm2"), self.p[f"{i}.up"], out=u)
        np.multiply(u, u, out=gate)
        gate *= np.float32(-GELU * CUBE)
        gate -= np.float32(GELU)
        gate *= u
        np.minimum(gate, np.float32(80), out=gate)  # a gate of e^-80 is 0 all the same, and e^89 is no float32
        np.exp(gate, out=gate)
        gate += np.float32(1)
        np.reciprocal(gate, out=gate)
        np.multiply(u, gate, out=space.hidden[i][..., :-1])
        np.matmul(space.hidden[i], self.p[f"{i}.down"], out=space.x[2 * i + 2])
        space.x[2 * i + 2] += space.x[2 * i + 1]

    def _expand_back(self, i: int) -> None:
        space = self.space
        u, gate, hidden, slope = space.up[i], space.gate[i], space.hidden[i], space.wide2
        np.matmul(hidden.swapaxes(1, 2), space.dx, out=self.dp[f"{i}.down"])
        np.matmul(space.dx, self.back[f"{i}.down"], out=space.wide)
        # d gelu / du = gate + u gate (1 - gate) GELU (1 + 3 CUBE u^2)
        np.multiply(u, u, out=u)
        u *= np.float32(3 * GELU * CUBE)
        u += np.float32(GELU)
        np.subtract(np.float32(1), gate, out=slope)
        slope *= u
        slope *= hidden[..., :-1]
        slope += gate
        slope *= space.wide
        np.matmul(space.affine[2 * i + 1].swapaxes(1, 2), slope, out=self.dp[f"{i}.up"])
        np.matmul(slope, self.back[f"{i}.up"], out=space.thin)
        self._norm_back(2 * i + 1, f"{i}.norm2")

    def _loss(self, logits: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean cross-entropy of each model, and the gradient of the weighted one at the logits [m, predictions, classes]."""
        models, predictions, classes = logits.shape
        at = np.arange(models * predictions) * classes + targets.reshape(-1)  # of the right classes, in the flat logits
        logits -= np.maximum.reduce(logits, -1, keepdims=True)
        right = logits.reshape(-1)[at].reshape(models, predictions)
        np.exp(logits, out=logits)
        total = np.add.reduce(logits, -1, keepdims=True)
        losses = np.add.reduce(np.log(total[..., 0]) - right, 1) / predictions
        logits /= total
        logits.reshape(-1)[at] -= np.float32(1)
        logits *= np.repeat(weights / predictions, predictions // len(weights)).astype(np.float32)[:, None]
        return losses, logits


def _pieces(network: Transformer, flat: np.ndarray) -> dict[str, np.ndarray]:
    """Views of flat [m, P]: a weight with the bias behind it as one matrix [m, in + 1, out], a vector as [m, 1, width]."""
    found, start = {}, 0
    shapes = {name: p.shape for name, p in network.parameters().items()}
    for name, shape in shapes.items():
        size = math.prod(shape)
        layer = name.removesuffix(".weight")
        if layer != name and len(shape) == 2:
            name, shape = layer, (shape[0] + 1, shape[1])
        elif len(shape) == 1:
            shape = (1, *shape)
        if name.removesuffix(".bias") not in found:  # that bias is in its weight's matrix
            found[name] = flat[:, start : start + math.prod(shape)].reshape(-1, *shape)
        start += size
    return found
