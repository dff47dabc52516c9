"""Training steps of the built-in transformer, compiled for a CPU: loss, gradient by hand, clipping, optimizer.

A small model's step is bound by the cost of calling operations, so here is none: one call makes many steps of one model, and
its activations stay in the cache. Matrix products are BLAS's; everything else is loops. The tests hold the gradients to autograd
through ``tasks.transformer`` and the updates to torch.optim. All in one file: numba's cache sees changes of this file only.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

f32 = np.float32
# Floats may be added in another order and divided by a reciprocal, but a NaN stays one: the losses say where a model diverged.
FAST = {"contract", "reassoc", "nsz", "arcp"}
GELU, CUBE = f32(2 * math.sqrt(2 / math.pi)), f32(0.044715)  # gelu(u) = u sigmoid(GELU (u + CUBE u^3)), the tanh form
ONE, THREE, HALF = f32(1), f32(3), f32(0.5)
LAYER_NORM_EPS = f32(1e-5)  # torch's default
CLIP_EPS = f32(1e-6)  # torch.nn.utils.clip_grad_norm_'s
WORTH_BLAS = 16  # tokens from which attention's products are worth calling BLAS for
NONE, ADAM, ADAMW, RMSPROP = range(4)


inner = njit(fastmath=FAST, error_model="numpy")


def entry(function):
    """For what Python calls: other threads run meanwhile, and the result is kept on disk where there is a place for it."""
    try:
        return njit(nogil=True, fastmath=FAST, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True, fastmath=FAST, error_model="numpy")(function)


@njit(fastmath={"contract", "nsz"}, error_model="numpy")
def exp(x):
    """e^x within 1e-7, of x kept in -87 to 88, in operations that a processor does eight of at once.

    2^n e^r with r in +-ln(2)/2: r by subtracting n ln(2) in two parts, e^r by the polynomial of Cephes' expf, 2^n by its bits.
    """
    x = f32(-87) if x < f32(-87) else (f32(88) if x > f32(88) else x)  # a NaN passes both
    n = np.floor(x * f32(1.44269504) + HALF)
    n = n if n > f32(-126) else f32(-126)  # but may not become an integer
    r = x - n * f32(0.693359375) - n * f32(-2.12194440e-4)
    y = (((f32(1.9875691500e-4) * r + f32(1.3981999507e-3)) * r + f32(8.3334519073e-3)) * r + f32(4.1665795894e-2)) * r
    y = (y + f32(1.6666665459e-1)) * r + f32(5.0000001201e-1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (y * r * r + r + ONE) * power


@inner
def matrix(flat, start, rows, columns):
    """A piece of a flat array as a matrix, in place."""
    return flat[start : start + rows * columns].reshape(rows, columns)


@inner
def copy(source, target):
    """One matrix into another, as much as both hold. (Assigning slices would compile messages about wrong shapes: seconds.)"""
    for r in range(min(source.shape[0], target.shape[0])):
        for c in range(min(source.shape[1], target.shape[1])):
            target[r, c] = source[r, c]


@inner
def add(a, b):
    """a += b, both flat or both of rows."""
    a, b = a.reshape(-1), b.reshape(-1)
    for i in range(len(a)):
        a[i] += b[i]


@inner
def norm(x, weight, bias, normal, std, affine):
    """Layer norm of the rows of x: normal, its standard deviation, and weight * normal + bias into ``affine``."""
    rows, d = x.shape
    for r in range(rows):
        mean, square, share = f32(0), f32(0), f32(1 / d)
        for j in range(d):
            mean += x[r, j]
        mean *= share
        for j in range(d):
            square += (x[r, j] - mean) * (x[r, j] - mean)
        std[r] = np.sqrt(square * share + LAYER_NORM_EPS)
        inverse = ONE / std[r]
        for j in range(d):
            normal[r, j] = (x[r, j] - mean) * inverse
            affine[r, j] = normal[r, j] * weight[j] + bias[j]


@inner
def norm_back(da, weight, normal, std, dweight, dbias, dx):
    """From the gradient at ``affine`` to those of weight and bias, and to the one at x, added to ``dx``."""
    rows, d = da.shape
    dweight[:d] = 0
    dbias[:d] = 0
    for r in range(rows):
        mean, along, share = f32(0), f32(0), f32(1 / d)
        for j in range(d):
            dbias[j] += da[r, j]
            dweight[j] += da[r, j] * normal[r, j]
            mean += da[r, j] * weight[j]
            along += da[r, j] * weight[j] * normal[r, j]
        mean, along, inverse = mean * share, along * share, ONE / std[r]
        for j in range(d):
            dx[r, j] += (da[r, j] * weight[j] - mean - normal[r, j] * along) * inverse


@inner
def product(a, b, result):
    """a b; a BLAS call costs more than a small one."""
    if len(a) >= WORTH_BLAS:
        np.dot(a, b, result)
        return
    result[:] = 0
    for t in range(a.shape[0]):
        for u in range(a.shape[1]):
            for c in range(b.shape[1]):
                result[t, c] += a[t, u] * b[u, c]


@inner
def softmax(row, scale):
    """The softmax of scale * row, in place; returns its log-sum-exp's two parts, the largest and the sum."""
    top, total = -f32(np.inf), f32(0)
    for u in range(len(row)):
        row[u] *= scale
        top = max(top, row[u])
    for u in range(len(row)):
        row[u] = exp(row[u] - top)
    for u in range(len(row)):
        total += row[u]
    inverse = ONE / total
    for u in range(len(row)):
        row[u] *= inverse
    return top, total


@inner
def split(n, qkv, mine, at, heads):
    """Query, key and value of one head of one sample, out of its rows of qkv into the first three of ``heads``."""
    for i in range(3):
        copy(qkv[mine, i * n.width + at :], heads[i])


@inner
def attend(n, qkv, attention, mixed, heads):
    """Scaled dot-product attention of every head of every sample: qkv [rows, 3 width] -> mixed."""
    each = n.width // n.heads
    scale = f32(1 / math.sqrt(each))
    q, k, v, result = heads[0], heads[1], heads[2], heads[3]
    for s in range(attention.shape[0]):
        for h in range(n.heads):
            mine, at, a = slice(s * n.length, (s + 1) * n.length), h * each, attention[s, h]
            split(n, qkv, mine, at, heads)
            product(q, k.T, a)
            for t in range(n.length):
                seen = t + 1 if n.causal else n.length
                softmax(a[t, :seen], scale)
                a[t, seen:] = 0
            product(a, v, result)
            copy(result, mixed[mine, at:])


@inner
def attend_back(n, dmixed, qkv, attention, dqkv, heads, scores):
    """The gradient at qkv from the one at ``mixed``."""
    d, each = n.width, n.width // n.heads
    scale = f32(1 / math.sqrt(each))
    q, k, v, dhead, result = heads[0], heads[1], heads[2], heads[3], heads[4]
    for s in range(attention.shape[0]):
        for h in range(n.heads):
            mine, at, a = slice(s * n.length, (s + 1) * n.length), h * each, attention[s, h]
            split(n, qkv, mine, at, heads)
            copy(dmixed[mine, at:], dhead)
            product(dhead, v.T, scores)
            for t in range(n.length):
                along = f32(0)
                for u in range(n.length):
                    along += scores[t, u] * a[t, u]
                for u in range(n.length):
                    scores[t, u] = a[t, u] * (scores[t, u] - along) * scale
            product(a.T, dhead, result)
            copy(result, dqkv[mine, 2 * d + at :])
            product(scores, k, result)
            copy(result, dqkv[mine, at:])
            product(scores.T, q, result)
            copy(result, dqkv[mine, d + at :])


@inner
def gelu(u, gate, hidden):
    """u sigmoid(...) into ``hidden``, the sigmoid into ``gate``."""
    for r in range(u.shape[0]):
        for j in range(u.shape[1]):
            x = u[r, j]
            gate[r, j] = ONE / (ONE + exp(-(GELU * CUBE * x * x + GELU) * x))
            hidden[r, j] = x * gate[r, j]


@inner
def gelu_back(dhidden, u, gate):
    """From the gradient at ``hidden`` to the one at u, in place: gate + u gate (1 - gate) GELU (1 + 3 CUBE u^2)."""
    for r in range(u.shape[0]):
        for j in range(u.shape[1]):
            x, g = u[r, j], gate[r, j]
            dhidden[r, j] *= g + x * g * (ONE - g) * (GELU + THREE * GELU * CUBE * x * x)


@inner
def loss(logits, targets, weights, share):
    """Sum of the cross-entropies; the logits become the gradient of share * their weighted sum. weights: of each sample."""
    per_sample, total = len(logits) // len(weights), 0.0
    for r in range(logits.shape[0]):
        row, weight = logits[r], weights[r // per_sample] * share
        right = row[targets[r]]
        top, whole = softmax(row, ONE)
        total += np.log(whole) + top - right
        for c in range(len(row)):
            row[c] *= weight
        row[targets[r]] -= weight
    return total


@inner
def places(n):
    """Where the pieces of a layer begin in it, how long it is, and where the layers and what follows them begin in [P]."""
    d, inputs = n.width, n.tokens if n.tokens else n.patch
    qkv = 2 * d
    out = qkv + (d + 1) * 3 * d
    norm2 = out + (d + 1) * d
    up = norm2 + 2 * d
    down = up + (d + 1) * 4 * d
    size = down + (4 * d + 1) * d
    layers = (inputs + n.length) * d
    return qkv, out, norm2, up, down, size, layers, layers + n.layers * size


@inner
def forward(n, space, p, tokens, patches):
    """The logits of one model with parameters p [P] on the samples of ``space``: tokens [rows] or patches [rows, patch]."""
    x, affine, pooled, d, last = space.x, space.affine, space.pooled, n.width, 2 * n.layers
    qkv, out, norm2, up, down, size, layers, final = places(n)
    inputs, rows, span = n.tokens if n.tokens else n.patch, x.shape[1], x.shape[1] // len(space.pooled)
    entry, position = matrix(p, 0, inputs, d), matrix(p, inputs * d, n.length, d)
    if n.tokens:
        for r in range(rows):
            for j in range(d):
                x[0, r, j] = entry[tokens[r], j]
    else:
        np.dot(patches, entry, x[0])
    for r in range(rows):
        add(x[0, r], position[r % n.length])
    for i in range(n.layers):
        q = p[layers + i * size : layers + (i + 1) * size]
        norm(x[2 * i], q, q[d:], space.normal[2 * i], space.std[2 * i], affine[2 * i])
        np.dot(affine[2 * i], matrix(q, qkv, d + 1, 3 * d), space.qkv[i])
        attend(n, space.qkv[i], space.attention[i], space.mixed[i], space.heads)
        np.dot(space.mixed[i], matrix(q, out, d + 1, d), x[2 * i + 1])
        add(x[2 * i + 1], x[2 * i])
        norm(x[2 * i + 1], q[norm2:], q[norm2 + d :], space.normal[2 * i + 1], space.std[2 * i + 1], affine[2 * i + 1])
        np.dot(affine[2 * i + 1], matrix(q, up, d + 1, 4 * d), space.up[i])
        gelu(space.up[i], space.gate[i], space.hidden[i])
        np.dot(space.hidden[i], matrix(q, down, 4 * d + 1, d), x[2 * i + 2])
        add(x[2 * i + 2], x[2 * i + 1])
    norm(x[last], p[final:], p[final + d :], space.normal[last], space.std[last], affine[last])
    pooled[:, :d] = 0
    for r in range(rows):
        for j in range(d):
            pooled[r // span, j] += affine[last, r, j] * f32(1 / span)
    np.dot(pooled, matrix(p, final + 2 * d, d + 1, n.classes), space.logits)


@inner
def gradient(n, space, p, dp, tokens, patches, targets, weights, share):
    """Sum of the losses of one model on the samples of ``space``; writes the gradient dp [P] of share * their weighted sum.

    targets: of every prediction; weights: of every sample; the rest as in ``forward``.
    """
    forward(n, space, p, tokens, patches)
    total = loss(space.logits, targets, weights, share)
    dx, affine, d, last = space.dx, space.affine, n.width, 2 * n.layers
    qkv, out, norm2, up, down, size, layers, final = places(n)
    inputs, rows, span = n.tokens if n.tokens else n.patch, len(dx), len(dx) // len(space.pooled)
    np.dot(space.pooled.T, space.logits, matrix(dp, final + 2 * d, d + 1, n.classes))
    dpooled = dx[: len(space.pooled)]
    np.dot(space.logits, matrix(p, final + 2 * d, d, n.classes).T, dpooled)
    for r in range(rows):
        for j in range(d):
            space.thin[r, j] = dpooled[r // span, j] * f32(1 / span)
    dx[:] = 0
    norm_back(space.thin, p[final:], space.normal[last], space.std[last], dp[final:], dp[final + d :], dx)
    for i in range(n.layers - 1, -1, -1):
        q = p[layers + i * size : layers + (i + 1) * size]
        dq = dp[layers + i * size : layers + (i + 1) * size]
        np.dot(space.hidden[i].T, dx, matrix(dq, down, 4 * d + 1, d))
        np.dot(dx, matrix(q, down, 4 * d, d).T, space.wide)
        gelu_back(space.wide, space.up[i], space.gate[i])
        np.dot(affine[2 * i + 1].T, space.wide, matrix(dq, up, d + 1, 4 * d))
        np.dot(space.wide, matrix(q, up, d, 4 * d).T, space.thin)
        norm_back(space.thin, q[norm2:], space.normal[2 * i + 1], space.std[2 * i + 1], dq[norm2:], dq[norm2 + d :], dx)
        np.dot(space.mixed[i].T, dx, matrix(dq, out, d + 1, d))
        np.dot(dx, matrix(q, out, d, d).T, space.thin)
        attend_back(n, space.thin, space.qkv[i], space.attention[i], space.dqkv, space.heads, space.scores)
        np.dot(affine[2 * i].T, space.dqkv, matrix(dq, qkv, d + 1, 3 * d))
        np.dot(space.dqkv, matrix(q, qkv, d, 3 * d).T, space.thin)
        norm_back(space.thin, q, space.normal[2 * i], space.std[2 * i], dq, dq[d:], dx)
    dentry, dposition = matrix(dp, 0, inputs, d), matrix(dp, inputs * d, n.length, d)
    dposition[:] = 0
    for r in range(rows):
        add(dposition[r % n.length], dx[r])
    if n.tokens:
        dentry[:] = 0
        for r in range(rows):
            add(dentry[tokens[r]], dx[r])
    else:
        np.dot(patches.T, dx, dentry)
    return total


@inner
def update(rule, p, g, first, second, step, factor):
    """One optimizer step of one model in place, as ``optimizers`` says it; first, second: moments [P], g is overwritten.

    step: how many the optimizer has made with this one; factor: of warm-up.
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
def train(n, rule, full, rest, p, g, scratch, first, second, tokens, patches, targets, weights, steps, made, taken):
    """``steps`` steps of one model on consecutive batches: (largest mean loss or NaN, clipped steps, rms of the last update).

    n, rule: ``compiled.Shape``, ``Rule``; full: the ``Space`` of a block of samples; rest: of a batch's last one, which may be
    smaller; g, scratch: [P]; weights: of a batch's samples; made: steps of the optimizer so far, which bias correction counts;
    taken: of this run, which warm-up counts. Family NONE makes no step and leaves the gradient of the last batch in g.
    """
    samples, block, predictions = len(weights), len(full.dx) // n.length, len(targets) // steps
    per_sample, worst, clipped, moved = predictions // samples, -np.inf, 0, 0.0
    for i in range(steps):
        total = 0.0
        for at in range(0, samples, block):
            end = min(at + block, samples)
            rows = slice((i * samples + at) * n.length, (i * samples + end) * n.length)
            total += gradient(n, full if end - at == block else rest, p, scratch if at else g, tokens[rows], patches[rows],
                              targets[i * predictions + at * per_sample :], weights[at:end], f32(1 / predictions))
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
        if i == steps - 1:
            copy(p.reshape(1, -1), scratch.reshape(1, -1))
        update(rule, p, g, first, second, made + i + 1, min(1.0, (taken + i + 1) / max(rule.warmup, 1)))
    for j in range(len(p)):
        moved += (p[j] - scratch[j]) ** 2
    return worst, clipped, np.sqrt(moved / len(p))


@entry
def evaluate(n, full, rest, p, tokens, patches, targets):
    """Sum of the losses of one model on a set of samples, and how many predictions are right; blocks as in ``train``."""
    rows, block, span = len(targets) if n.causal else len(targets) * n.length, len(full.dx), len(full.dx) // len(full.pooled)
    total, right = 0.0, 0
    for at in range(0, rows, block):
        end = min(at + block, rows)
        space = full if end - at == block else rest
        forward(n, space, p, tokens[at:end], patches[at:end])
        for r in range(len(space.logits)):
            right += np.argmax(space.logits[r]) == targets[at // span + r]
        total += loss(space.logits, targets[at // span :], full.std[0, : len(space.logits)], f32(0))
    return total, right
