"""One small pre-norm transformer for bytes and patches of pictures, written for a stack of models.

Every parameter has a leading model axis M, every activation is [M, B, T, width]. A stack of models is
then one program of batched matrix products: no Python loop over models, and attention needs no
batching rule because models and samples share its batch axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ._network import Network, Parameter

NO_BUFFERS: Mapping[str, Tensor] = {}
MOST_ROWS = 512  # of a small table of vectors, see _Lookup


@dataclass(frozen=True)
class Transformer(Network):
    """A transformer that classifies, as data: ``parameters()`` names what it needs, calling it gives the logits.

    tokens: vocabulary size for byte inputs [M, B, T], or None for patches [M, B, T, patch];
    causal: predict each next token (logits [M, B, T, classes]), else pool over tokens to one
    prediction (logits [M, B, classes]).
    """

    width: int
    layers: int
    heads: int
    length: int
    classes: int
    tokens: int | None = None
    patch: int = 0
    causal: bool = False

    def parameters(self) -> dict[str, Parameter]:
        """Name -> Parameter. GPT-2 style start: small normal weights, output projections damped by depth."""
        d = self.width
        damped = 1 / math.sqrt(d) / math.sqrt(2 * self.layers)
        entry = Parameter((self.tokens, d), 0.1) if self.tokens else Parameter((self.patch, d), 1 / math.sqrt(self.patch))
        parameters = {"entry": entry, "position": Parameter((self.length, d), 0.1)}
        for i in range(self.layers):
            parameters |= {
                f"{i}.norm1.weight": Parameter((d,), constant=1.0),
                f"{i}.norm1.bias": Parameter((d,)),
                f"{i}.qkv.weight": Parameter((d, 3 * d), 1 / math.sqrt(d)),
                f"{i}.qkv.bias": Parameter((3 * d,)),
                f"{i}.out.weight": Parameter((d, d), damped),
                f"{i}.out.bias": Parameter((d,)),
                f"{i}.norm2.weight": Parameter((d,), constant=1.0),
                f"{i}.norm2.bias": Parameter((d,)),
                f"{i}.up.weight": Parameter((d, 4 * d), 1 / math.sqrt(d)),
                f"{i}.up.bias": Parameter((4 * d,)),
                f"{i}.down.weight": Parameter((4 * d, d), damped / 2),
                f"{i}.down.bias": Parameter((d,)),
            }
        return parameters | {
            "norm.weight": Parameter((d,), constant=1.0),
            "norm.bias": Parameter((d,)),
            "head.weight": Parameter((d, self.classes), 0.1 / math.sqrt(d)),
            "head.bias": Parameter((self.classes,)),
        }

    def __call__(self, p: Mapping[str, Tensor], inputs: Tensor, buffers: Mapping[str, Tensor] = NO_BUFFERS, training: bool = True
                 ) -> Tensor:
        """Logits of every model: p maps names to [M, *shape], inputs are [M, B, T] or [M, B, T, patch]."""
        models, batch = inputs.shape[:2]
        if self.tokens:
            x = lookup(p["entry"], inputs.flatten(1)).view(models, batch, self.length, self.width)
        else:
            x = torch.bmm(inputs.flatten(1, 2), p["entry"]).view(models, batch, self.length, self.width)
        x = (x + p["position"].unsqueeze(1)).flatten(1, 2)  # [M, B*T, width]
        for i in range(self.layers):
            x = x + self._attention(p, f"{i}.", _norm(p, f"{i}.norm1", x), batch)
            x = x + linear(p, f"{i}.down", F.gelu(linear(p, f"{i}.up", _norm(p, f"{i}.norm2", x)), approximate="tanh"))
        x = _norm(p, "norm", x).view(models, batch, self.length, self.width)
        if self.causal:
            return linear(p, "head", x.flatten(1, 2)).view(models, batch, self.length, self.classes)
        return linear(p, "head", x.mean(2))

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats of every prediction, shaped like the targets: [M, B], or [M, B, T] where each token is one."""
        return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none").view(targets.shape)

    def measures(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Also accuracy: 1 where the likeliest class is the right one."""
        return {"loss": self.losses(logits, targets), "accuracy": logits.argmax(-1) == targets}

    def _attention(self, p: Mapping[str, Tensor], layer: str, x: Tensor, batch: int) -> Tensor:
        models = x.shape[0]
        qkv = linear(p, layer + "qkv", x).view(models * batch, self.length, 3, self.heads, self.width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [M*B, heads, T, width / heads]
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return linear(p, layer + "out", mixed.transpose(1, 2).reshape(models, batch * self.length, self.width))


def lookup(table: Tensor, tokens: Tensor) -> Tensor:
    """Rows of each model's own table: table [M, V, width], tokens [M, n] -> [M, n, width]."""
    rows: Tensor = _Lookup.apply(table, tokens)  # type: ignore[no-untyped-call]
    return rows


class _Lookup(torch.autograd.Function):
    """The backward pass of torch's embedding sorts the tokens and waits for a number, which no CUDA graph may
    [pytorch/pytorch issue 82886]. A small table, of bytes say, is worth a matrix product with the tokens as ones and zeros, whose
    size and work grow with the table's rows; of a larger one the rows that were read are added up. Both give the same each time:
    on a GPU, where ``scatter_add_`` adds in any order, ``index_put_`` sorts first.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, tokens: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.rows = table.shape[1]
        return table.gather(1, tokens.unsqueeze(2).expand(-1, -1, table.shape[2]))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (tokens,) = ctx.saved_tensors
        if ctx.rows > MOST_ROWS:
            total = gradient.new_zeros(len(tokens), ctx.rows, gradient.shape[2])
            if gradient.is_cuda:
                models = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
                return total.index_put_((models, tokens), gradient, accumulate=True), None
            return total.scatter_add_(1, tokens.unsqueeze(2).expand_as(gradient), gradient), None
        chosen = torch.arange(ctx.rows, device=tokens.device).view(1, -1, 1) == tokens.unsqueeze(1)
        return torch.bmm(chosen.to(gradient.dtype), gradient), None


def linear(p: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """x [M, n, in] -> [M, n, out], each model with its own weight and bias."""
    return torch.baddbmm(p[name + ".bias"].unsqueeze(1), x, p[name + ".weight"])


def _norm(p: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Layer norm of x [M, n, width], each model with its own weight and bias."""
    return torch.addcmul(p[name + ".bias"].unsqueeze(1), F.layer_norm(x, x.shape[-1:]), p[name + ".weight"].unsqueeze(1))
