"""Layer norm, attention, GELU and the loss of one model, forward and backward. d before a name: the gradient there."""

from __future__ import annotations

import math

import numpy as np

from .arithmetic import ONE, copy, exp, f32, inner, product

GELU, CUBE = f32(2 * math.sqrt(2 / math.pi)), f32(0.044715)  # gelu(u) = u sigmoid(GELU (u + CUBE u^3)), the tanh form
THREE = f32(3)
LAYER_NORM_EPS = f32(1e-5)  # torch's default


@inner
def norm(x, weight, bias, normal, std, affine):
    """Layer norm of every row x of d numbers:

    mu = sum_j x_j / d,  std = sqrt(sum_j (x_j - mu)^2 / d + eps),  normal = (x - mu) / std,  affine = weight * normal + bias.
    """
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
    """From the gradient da at ``affine`` to those of weight and bias, and to the one at x, which is added to ``dx``:

    dbias = sum_rows da,  dweight = sum_rows da * normal,
    dx += (h - sum_j h_j / d - normal * sum_j h_j normal_j / d) / std,  h = da * weight.
    """
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
def softmax(row, scale):
    """row_u = e^(scale row_u - top) / total, in place; returns top = max_u scale row_u and total = sum_u e^(scale row_u - top).

    Their log-sum-exp is top + ln(total).
    """
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
    """Scaled dot-product attention of every head of every sample: qkv [rows, 3 width] -> mixed.

    a = softmax(q k^T / sqrt(width / heads)), over what a token sees;  mixed = a v.
    """
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
    """The gradient at qkv from the one at ``mixed``: with s = dmixed v^T and t = a * (s - sum_u s_u a_u) / sqrt(width / heads),

    dq = t k,  dk = t^T q,  dv = a^T dmixed.
    """
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
    """gate = sigmoid(GELU (u + CUBE u^3)),  hidden = u gate."""
    for r in range(u.shape[0]):
        for j in range(u.shape[1]):
            x = u[r, j]
            gate[r, j] = ONE / (ONE + exp(-(GELU * CUBE * x * x + GELU) * x))
            hidden[r, j] = x * gate[r, j]


@inner
def gelu_back(dhidden, u, gate):
    """From the gradient at ``hidden`` to the one at u, in place:

    du = dhidden (gate + u gate (1 - gate) GELU (1 + 3 CUBE u^2)).
    """
    for r in range(u.shape[0]):
        for j in range(u.shape[1]):
            x, g = u[r, j], gate[r, j]
            dhidden[r, j] *= g + x * g * (ONE - g) * (GELU + THREE * GELU * CUBE * x * x)


@inner
def loss(logits, targets, weights, share):
    """sum_r ln(sum_c e^z_rc) - z_r,target; the logits z become the gradient of share times the weighted sum of the same:

    dz_rc = share weight_r (softmax(z_r)_c - [c = target_r]). weights: of each sample.
    """
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
