"""Training steps of the built-in transformer, compiled for a CPU: loss, gradient by hand, clipping, optimizer.

A small model's step is bound by the cost of calling operations, so here is none: one call makes many steps of one model, and
its activations stay in the cache. Matrix products are BLAS's; everything else is loops. The tests hold the gradients to autograd
through ``tasks.transformer`` and the updates to torch.optim.

Everything compiled is in this one file, because numba's cache on disk notices changes of a function's own file only.
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


def compiled(fastmath=FAST):
    """numba's compiler for functions that need no Python; kept on disk where there is a place for it."""
    def compile_(function):
        try:
            return njit(nogil=True, fastmath=fastmath, error_model="numpy", cache=True)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            return njit(nogil=True, fastmath=fastmath, error_model="numpy")(function)
    return compile_


@compiled({"contract", "nsz"})
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


@compiled()
def matrix(flat, start, rows, columns):
    """A piece of a flat array as a matrix, in place."""
    return flat[start : start + rows * columns].reshape(rows, columns)


@compiled()
def copy(source, target):
    """One matrix into another, as much as both hold. (Assigning slices would compile messages about wrong shapes: seconds.)"""
    for r in range(min(source.shape[0], target.shape[0])):
        for c in range(min(source.shape[1], target.shape[1])):
            target[r, c] = source[r, c]


@compiled()
def add(a, b):
    """a += b, both flat or both of rows."""
    a, b = a.reshape(-1), b.reshape(-1)
    for i in range(len(a)):
        a[i] += b[i]


@compiled()
def norm(x, weight, bias, normal, std, affine):
    """Layer norm of the rows of x: normal, its standard deviation, and weight * normal + bias into ``affine``."""
    rows, d = x.shape
    share = f32(1 / d)
    for r in range(rows):
        mean, square = f32(0), f32(0)
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


@compiled()
def norm_back(da, weight, normal, std, dweight, dbias, dx):
    """From the gradient at ``affine`` to those of weight and bias, and to the one at x, added to ``dx``."""
    rows, d = da.shape
    share = f32(1 / d)
    dweight[:] = 0
    dbias[:] = 0
    for r in range(rows):
        mean, along = f32(0), f32(0)
        for j in range(d):
            dbias[j] += da[r, j]
            dweight[j] += da[r, j] * normal[r, j]
            mean += da[r, j] * weight[j]
            along += da[r, j] * weight[j] * normal[r, j]
        mean, along, inverse = mean * share, along * share, ONE / std[r]
        for j in range(d):
            dx[r, j] += (da[r, j] * weight[j] - mean - normal[r, j] * along) * inverse


@compiled()
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


@compiled()
def attend(n, qkv, attention, mixed, heads):
    """Scaled dot-product attention of every head of every sample: qkv [rows, 3 width] -> mixed."""
    d, each = n.width, n.width // n.heads
    scale = f32(1 / math.sqrt(each))
    q, k, v, result = heads[0], heads[1], heads[2], heads[3]
    for s in range(attention.shape[0]):
        for h in range(n.heads):
            mine, at, a = slice(s * n.length, (s + 1) * n.length), h * each, attention[s, h]
            copy(qkv[mine, at:], q)
            copy(qkv[mine, d + at :], k)
            copy(qkv[mine, 2 * d + at :], v)
            product(q, k.T, a)
            for t in range(n.length):
                seen = t + 1 if n.causal else n.length
                row, top, total = a[t], -f32(np.inf), f32(0)
                for u in range(seen):
                    row[u] *= scale
                    top = max(top, row[u])
                for u in range(seen):
                    row[u] = exp(row[u] - top)
                for u in range(seen):
                    total += row[u]
                inverse = ONE / total
                for u in range(seen):
                    row[u] *= inverse
                row[seen:] = 0
            product(a, v, result)
            copy(result, mixed[mine, at:])


@compiled()
def attend_back(n, dmixed, qkv, attention, dqkv, heads, scores):
    """The gradient at qkv from the one at ``mixed``."""
    d, each = n.width, n.width // n.heads
    scale = f32(1 / math.sqrt(each))
    q, k, v, dhead, result = heads[0], heads[1], heads[2], heads[3], heads[4]
    for s in range(attention.shape[0]):
        for h in range(n.heads):
            mine, at, a = slice(s * n.length, (s + 1) * n.length), h * each, attention[s, h]
            copy(qkv[mine, at:], q)
            copy(qkv[mine, d + at :], k)
            copy(qkv[mine, 2 * d + at :], v)
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


@compiled()
def gelu(u, gate, hidden):
    """u sigmoid(...) into ``hidden``, the sigmoid into ``gate``."""
    for r in range(u.shape[0]):
        for j in range(u.shape[1]):
            x = u[r, j]
            gate[r, j] = ONE / (ONE + exp(-(GELU * CUBE * x * x + GELU) * x))
            hidden[r, j] = x * gate[r, j]


@compiled()
def gelu_back(dhidden, u, gate):
    """From the gradient at ``hidden`` to the one at u, in place: gate + u gate (1 - gate) GELU (1 + 3 CUBE u^2)."""
    for r in range(u.shape[0]):
        for j in range(u.shape[1]):
            x, g = u[r, j], gate[r, j]
            dhidden[r, j] *= g + x * g * (ONE - g) * (GELU + THREE * GELU * CUBE * x * x)


@compiled()
def loss(logits, targets, weights, share):
    """Sum of the cross-entropies; the logits become the gradient of share * their weighted sum. weights: of each sample."""
    per_sample, total = len(logits) // len(weights), 0.0
    for r in range(logits.shape[0]):
        row, top, whole = logits[r], -f32(np.inf), f32(0)
        for c in range(len(row)):
            top = max(top, row[c])
        right = row[targets[r]] - top
        for c in range(len(row)):
            row[c] = exp(row[c] - top)
        for c in range(len(row)):
            whole += row[c]
        total += np.log(whole) - right
        weight = weights[r // per_sample] * share
        factor = weight / whole
        for c in range(len(row)):
            row[c] *= factor
        row[targets[r]] -= weight
    return total


@compiled()
def gradient(n, space, p, dp, tokens, patches, targets, weights, share):
    """Sum of the losses of one model on the samples of ``space``; writes the gradient of share * their weighted sum.

    p, dp: its parameters and their gradient [P], in the order of ``Transformer.parameters``; tokens [rows] or patches
    [rows, patch]; targets: of every prediction; weights: of every sample.
    """
    x, dx, affine, d, last = space.x, space.dx, space.affine, n.width, 2 * n.layers
    inputs = n.tokens if n.tokens else n.patch
    first_layer = (inputs + n.length) * d
    qkv_at = 2 * d
    out_at = qkv_at + (d + 1) * 3 * d
    norm2_at = out_at + (d + 1) * d
    up_at = norm2_at + 2 * d
    down_at = up_at + (d + 1) * 4 * d
    size = down_at + (4 * d + 1) * d
    final = first_layer + n.layers * size
    entry, position = matrix(p, 0, inputs, d), matrix(p, inputs * d, n.length, d)
    dentry, dposition = matrix(dp, 0, inputs, d), matrix(dp, inputs * d, n.length, d)
    weight, bias, dweight, dbias = p[final : final + d], p[final + d :], dp[final : final + d], dp[final + d : final + 2 * d]
    head, dhead = matrix(p, final + 2 * d, d + 1, n.classes), matrix(dp, final + 2 * d, d + 1, n.classes)
    back = matrix(p, final + 2 * d, d, n.classes).T
    rows, per_token = x.shape[1], f32(1 / n.length)

    if n.tokens:
        for r in range(rows):
            for j in range(d):
                x[0, r, j] = entry[tokens[r], j]
    else:
        np.dot(patches, entry, x[0])
    for r in range(rows):
        for j in range(d):
            x[0, r, j] += position[r % n.length, j]
    for i in range(n.layers):
        q = p[first_layer + i * size : first_layer + (i + 1) * size]
        norm(x[2 * i], q[:d], q[d:qkv_at], space.normal[2 * i], space.std[2 * i], affine[2 * i])
        np.dot(affine[2 * i], matrix(q, qkv_at, d + 1, 3 * d), space.qkv[i])
        attend(n, space.qkv[i], space.attention[i], space.mixed[i], space.heads)
        np.dot(space.mixed[i], matrix(q, out_at, d + 1, d), x[2 * i + 1])
        add(x[2 * i + 1], x[2 * i])
        norm(x[2 * i + 1], q[norm2_at:], q[norm2_at + d :], space.normal[2 * i + 1], space.std[2 * i + 1], affine[2 * i + 1])
        np.dot(affine[2 * i + 1], matrix(q, up_at, d + 1, 4 * d), space.up[i])
        gelu(space.up[i], space.gate[i], space.hidden[i])
        np.dot(space.hidden[i], matrix(q, down_at, 4 * d + 1, d), x[2 * i + 2])
        add(x[2 * i + 2], x[2 * i + 1])
    norm(x[last], weight, bias, space.normal[last], space.std[last], affine[last])

    if n.causal:
        np.dot(affine[last], head, space.logits)
        total = loss(space.logits, targets, weights, share)
        np.dot(affine[last].T, space.logits, dhead)
        np.dot(space.logits, back, space.thin)
    else:
        pooled, dpooled = space.pooled, dx[: len(space.pooled)]
        pooled[:, :d] = 0
        for r in range(rows):
            for j in range(d):
                pooled[r // n.length, j] += affine[last, r, j] * per_token
        np.dot(pooled, head, space.logits)
        total = loss(space.logits, targets, weights, share)
        np.dot(pooled.T, space.logits, dhead)
        np.dot(space.logits, back, dpooled)
        for r in range(rows):
            for j in range(d):
                space.thin[r, j] = dpooled[r // n.length, j] * per_token

    dx[:] = 0
    norm_back(space.thin, weight, space.normal[last], space.std[last], dweight, dbias, dx)
    for i in range(n.layers - 1, -1, -1):
        q = p[first_layer + i * size : first_layer + (i + 1) * size]
        dq = dp[first_layer + i * size : first_layer + (i + 1) * size]
        np.dot(space.hidden[i].T, dx, matrix(dq, down_at, 4 * d + 1, d))
        np.dot(dx, matrix(q, down_at, 4 * d, d).T, space.wide)
        gelu_back(space.wide, space.up[i], space.gate[i])
        np.dot(affine[2 * i + 1].T, space.wide, matrix(dq, up_at, d + 1, 4 * d))
        np.dot(space.wide, matrix(q, up_at, d, 4 * d).T, space.thin)
        norm_back(space.thin, q[norm2_at : norm2_at + d], space.normal[2 * i + 1], space.std[2 * i + 1],
                  dq[norm2_at : norm2_at + d], dq[norm2_at + d : up_at], dx)
        np.dot(space.mixed[i].T, dx, matrix(dq, out_at, d + 1, d))
        np.dot(dx, matrix(q, out_at, d, d).T, space.thin)
        attend_back(n, space.thin, space.qkv[i], space.attention[i], space.dqkv, space.heads, space.scores)
        np.dot(affine[2 * i].T, space.dqkv, matrix(dq, qkv_at, d + 1, 3 * d))
        np.dot(space.dqkv, matrix(q, qkv_at, d, 3 * d).T, space.thin)
        norm_back(space.thin, q[:d], space.normal[2 * i], space.std[2 * i], dq[:d], dq[d:qkv_at], dx)
    dposition[:] = 0
    for r in range(rows):
        for j in range(d):
            dposition[r % n.length, j] += dx[r, j]
    if n.tokens:
        dentry[:] = 0
        for r in range(rows):
            for j in range(d):
                dentry[tokens[r], j] += dx[r, j]
    else:
        np.dot(patches.T, dx, dentry)
    return total


@compiled()
def update(rule, p, g, first, second, step, factor):
    """One optimizer step of one model in place, as ``optimizers`` says it; first, second: moments [P], g is overwritten.

    step: how many the optimizer has made with this one; factor: of warm-up.
    """
    lr, decay = rule.lr * factor, f32(rule.weight_decay)
    beta1, beta2, eps = f32(rule.beta1), f32(rule.beta2), f32(rule.eps)
    rest1, rest2 = f32(1 - rule.beta1), f32(1 - rule.beta2)
    if rule.family == ADAMW:
        kept, decay = f32(1 - lr * rule.weight_decay), f32(0)
        for i in range(len(p)):
            p[i] *= kept
    if decay:
        for i in range(len(p)):
            g[i] += decay * p[i]
    if rule.family == RMSPROP:
        size = f32(lr)
        for i in range(len(p)):
            second[i] = beta2 * second[i] + rest2 * g[i] * g[i]
            first[i] = beta1 * first[i] + g[i] / (np.sqrt(second[i]) + eps)
            p[i] -= size * first[i]
    else:
        size, inverse_root = f32(lr / (1 - rule.beta1**step)), f32(1 / np.sqrt(1 - rule.beta2**step))
        for i in range(len(p)):
            first[i] += rest1 * (g[i] - first[i])
            second[i] = beta2 * second[i] + rest2 * g[i] * g[i]
            p[i] -= size * (first[i] / (np.sqrt(second[i]) * inverse_root + eps))


@compiled()
def train(n, rule, full, rest, p, g, scratch, first, second, tokens, patches, targets, weights, steps, made, taken):
    """``steps`` steps of one model on consecutive batches: (largest mean loss or NaN, clipped steps, rms of the last update).

    n, rule, full, rest: ``compiled.Shape``, ``Rule`` and ``Space``;
    full: the activations of a block of samples; rest: of a batch's last one, which may be smaller; g, scratch: [P]; weights: of
    a batch's samples; made: steps of the optimizer so far, which bias correction counts; taken: of this run, which warm-up
    counts. Family NONE makes no step and leaves the gradient of the last batch in g.
    """
    samples, block, predictions = len(weights), len(full.pooled), len(targets) // steps
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
            square = 0.0
            for j in range(len(g)):
                square += g[j] * g[j]
            shrink = f32(rule.clip_norm / (np.sqrt(square) + CLIP_EPS))
            if shrink < ONE:
                clipped += 1
                for j in range(len(g)):
                    g[j] *= shrink
        if i == steps - 1:
            for j in range(len(p)):
                scratch[j] = p[j]
        update(rule, p, g, first, second, made + i + 1, min(1.0, (taken + i + 1) / max(rule.warmup, 1)))
    for j in range(len(p)):
        moved += (p[j] - scratch[j]) ** 2
    return worst, clipped, np.sqrt(moved / len(p))
