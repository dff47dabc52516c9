"""What Python calls: many steps of one model in one call, and its evaluation."""

from __future__ import annotations

import numpy as np

from .arithmetic import ONE, add, copy, f32, inner
from .cache import entry
from .layers import loss
from .network import forward, gradient

CLIP_EPS = f32(1e-6)  # torch.nn.utils.clip_grad_norm_'s
NONE, ADAM, ADAMW, RMSPROP = range(4)


@inner
def update(rule, p, g, first, second, step, factor):
    """One optimizer step of one model in place; its k-th (step), of a learning rate lr times factor.

    g += weight_decay p (AdamW instead: p *= 1 - lr weight_decay); then, with first m and second v,
    Adam, AdamW: m += (1 - beta1) (g - m),  v = beta2 v + (1 - beta2) g^2,
                 p -= lr / (1 - beta1^k) m / (sqrt(v / (1 - beta2^k)) + eps);
    RMSprop:     v = beta2 v + (1 - beta2) g^2,  m = beta1 m + g / (sqrt(v) + eps),  p -= lr m.
    """
    lr, decay = rule.lr * factor, f32(rule.weight_decay)
    beta1, beta2, eps = f32(rule.beta1), f32(rule.beta2), f32(rule.eps)
    rest1, rest2 = f32(1 - rule.beta1), f32(1 - rule.beta2)
    if rule.family == ADAMW:
        kept, decay = f32(1 - lr * rule.weight_decay), f32(0)
        p *= kept
    if decay:
        for i in range(len(p)):
            g[i] += decay * p[i]
    if rule.family == RMSPROP:
        for i in range(len(p)):
            second[i] = beta2 * second[i] + rest2 * g[i] * g[i]
            first[i] = beta1 * first[i] + g[i] / (np.sqrt(second[i]) + eps)
            p[i] -= f32(lr) * first[i]
    else:
        size, inverse_root = f32(lr / (1 - rule.beta1**step)), f32(1 / np.sqrt(1 - rule.beta2**step))
        for i in range(len(p)):
            first[i] += rest1 * (g[i] - first[i])
            second[i] = beta2 * second[i] + rest2 * g[i] * g[i]
            p[i] -= size * (first[i] / (np.sqrt(second[i]) * inverse_root + eps))


@entry
def train(n, rule, desk, model, samples, pace):
    """Steps of one model on consecutive batches: (largest mean loss or NaN, clipped steps, rms of the last update).

    Each: g the gradient of the batch's weighted mean loss; g *= clip_norm / (|g| + 1e-6) where that is below 1; then ``update``
    by a learning rate times the step's lr_factor. Family NONE makes no step and leaves the
    gradient of the last batch on the desk. Arguments: see ``arguments``.
    """
    p, g, scratch, full = model.parameters, desk.gradient, desk.scratch, desk.full
    targets, weights = samples.targets, samples.weights
    size, block, predictions = len(weights), len(full.dx) // n.length, len(targets) // len(pace.lr_factors)
    per_sample, worst, clipped, moved = predictions // size, -np.inf, 0, 0.0
    for i in range(len(pace.lr_factors)):
        total = 0.0
        for at in range(0, size, block):
            end = min(at + block, size)
            rows = slice((i * size + at) * n.length, (i * size + end) * n.length)
            total += gradient(n, full if end - at == block else desk.rest, p, scratch if at else g, samples.tokens[rows],
                              samples.patches[rows], targets[i * predictions + at * per_sample :], weights[at:end],
                              f32(1 / predictions))
            if at:
                add(g, scratch)
        mean = total / predictions
        if not (mean <= worst or np.isnan(worst)):
            worst = mean
        if rule.family == NONE:
            continue
        if rule.clip_norm < np.inf:
            shrink = f32(rule.clip_norm / (np.sqrt(np.dot(g, g)) + CLIP_EPS))
            if shrink < ONE:
                clipped += 1
                g *= shrink
        if i == len(pace.lr_factors) - 1:
            copy(p.reshape(1, -1), scratch.reshape(1, -1))
        update(rule, p, g, model.first, model.second, pace.made + i + 1, pace.lr_factors[i])
    for j in range(len(p)):
        moved += (p[j] - scratch[j]) ** 2
    return worst, clipped, np.sqrt(moved / len(p))


@entry
def evaluate(n, desk, p, samples):
    """Sum of the losses of one model on a set of samples, and how many predictions are right; blocks as in ``train``."""
    full, targets = desk.full, samples.targets
    rows, block, span = len(targets) if n.causal else len(targets) * n.length, len(full.dx), len(full.dx) // len(full.pooled)
    total, right = 0.0, 0
    for at in range(0, rows, block):
        end = min(at + block, rows)
        space = full if end - at == block else desk.rest
        forward(n, space, p, samples.tokens[at:end], samples.patches[at:end])
        for r in range(len(space.logits)):
            right += np.argmax(space.logits[r]) == targets[at // span + r]
        total += loss(space.logits, targets[at // span :], full.std[0, : len(space.logits)], f32(0))
    return total, right
