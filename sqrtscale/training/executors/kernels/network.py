"""The transformer of one model: its logits, and the gradient of its loss. Every matrix product with a weight is BLAS's."""

from __future__ import annotations

import numpy as np

from .arithmetic import add, f32, inner, matrix
from .layers import attend, attend_back, gelu, gelu_back, loss, norm, norm_back


@inner
def forward(n, space, p, tokens, patches):
    """The logits of one model with parameters p [P] on the samples of ``space``: tokens [rows] or patches [rows, patch].

    x0 = entry[token] (or patch entry) + position;  in every layer x += attend(norm1(x) qkv) out,  x += gelu(norm2(x) up) down;
    logits = mean(norm(x)) head, the mean over the tokens that share a prediction. Products with a weight add its bias.
    """
    x, affine, pooled, d, last = space.x, space.affine, space.pooled, n.width, 2 * n.layers
    at, inputs, rows, span = n.at, n.tokens if n.tokens else n.patch, x.shape[1], x.shape[1] // len(space.pooled)
    entry, position = matrix(p, at.entry, inputs, d), matrix(p, at.position, n.length, d)
    if n.tokens:
        for r in range(rows):
            for j in range(d):
                x[0, r, j] = entry[tokens[r], j]
    else:
        np.dot(patches, entry, x[0])
    for r in range(rows):
        add(x[0, r], position[r % n.length])
    for i in range(n.layers):
        q = p[at.layers + i * at.size : at.layers + (i + 1) * at.size]
        norm(x[2 * i], q, q[d:], space.normal[2 * i], space.std[2 * i], affine[2 * i])
        np.dot(affine[2 * i], matrix(q, at.qkv, d + 1, 3 * d), space.qkv[i])
        attend(n, space.qkv[i], space.attention[i], space.mixed[i], space.heads)
        np.dot(space.mixed[i], matrix(q, at.out, d + 1, d), x[2 * i + 1])
        add(x[2 * i + 1], x[2 * i])
        norm(x[2 * i + 1], q[at.norm2:], q[at.norm2 + d :], space.normal[2 * i + 1], space.std[2 * i + 1], affine[2 * i + 1])
        np.dot(affine[2 * i + 1], matrix(q, at.up, d + 1, 4 * d), space.up[i])
        gelu(space.up[i], space.gate[i], space.hidden[i])
        np.dot(space.hidden[i], matrix(q, at.down, 4 * d + 1, d), x[2 * i + 2])
        add(x[2 * i + 2], x[2 * i + 1])
    norm(x[last], p[at.norm:], p[at.norm + d :], space.normal[last], space.std[last], affine[last])
    pooled[:, :d] = 0
    for r in range(rows):
        for j in range(d):
            pooled[r // span, j] += affine[last, r, j] * f32(1 / span)
    np.dot(pooled, matrix(p, at.head, d + 1, n.classes), space.logits)


@inner
def gradient(n, space, p, dp, tokens, patches, targets, weights, share):
    """Sum of the losses of one model on the samples of ``space``; writes the gradient dp [P] of share * their weighted sum.

    targets: of every prediction; weights: of every sample; the rest as in ``forward``.
    """
    forward(n, space, p, tokens, patches)
    total = loss(space.logits, targets, weights, share)
    dx, affine, d, last = space.dx, space.affine, n.width, 2 * n.layers
    at, inputs, rows, span = n.at, n.tokens if n.tokens else n.patch, len(dx), len(dx) // len(space.pooled)
    np.dot(space.pooled.T, space.logits, matrix(dp, at.head, d + 1, n.classes))
    dpooled = dx[: len(space.pooled)]
    np.dot(space.logits, matrix(p, at.head, d, n.classes).T, dpooled)
    for r in range(rows):
        for j in range(d):
            space.thin[r, j] = dpooled[r // span, j] * f32(1 / span)
    dx[:] = 0
    norm_back(space.thin, p[at.norm:], space.normal[last], space.std[last], dp[at.norm:], dp[at.norm + d :], dx)
    for i in range(n.layers - 1, -1, -1):
        q = p[at.layers + i * at.size : at.layers + (i + 1) * at.size]
        dq = dp[at.layers + i * at.size : at.layers + (i + 1) * at.size]
        np.dot(space.hidden[i].T, dx, matrix(dq, at.down, 4 * d + 1, d))
        np.dot(dx, matrix(q, at.down, 4 * d, d).T, space.wide)
        gelu_back(space.wide, space.up[i], space.gate[i])
        np.dot(affine[2 * i + 1].T, space.wide, matrix(dq, at.up, d + 1, 4 * d))
        np.dot(space.wide, matrix(q, at.up, d, 4 * d).T, space.thin)
        norm_back(space.thin, q[at.norm2:], space.normal[2 * i + 1], space.std[2 * i + 1], dq[at.norm2:], dq[at.norm2 + d :], dx)
        np.dot(space.mixed[i].T, dx, matrix(dq, at.out, d + 1, d))
        np.dot(dx, matrix(q, at.out, d, d).T, space.thin)
        attend_back(n, space.thin, space.qkv[i], space.attention[i], space.dqkv, space.heads, space.scores)
        np.dot(affine[2 * i].T, space.dqkv, matrix(dq, at.qkv, d + 1, 3 * d))
        np.dot(space.dqkv, matrix(q, at.qkv, d, 3 * d).T, space.thin)
        norm_back(space.thin, q, space.normal[2 * i], space.std[2 * i], dq, dq[d:], dx)
    dentry, dposition = matrix(dp, at.entry, inputs, d), matrix(dp, at.position, n.length, d)
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
