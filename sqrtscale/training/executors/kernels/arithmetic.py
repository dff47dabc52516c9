"""What the kernels calculate with: settings of the compiler, the exponential function, pieces of arrays, small products."""

from __future__ import annotations

import numpy as np
from numba import njit

f32 = np.float32
# Floats may be added in another order and divided by a reciprocal, but a NaN stays one: the losses say where a model diverged.
FAST = {"contract", "reassoc", "nsz", "arcp"}
ONE, HALF = f32(1), f32(0.5)
WORTH_BLAS = 16  # rows from which a product of attention is worth calling BLAS for

# Inlined without exception: of a function that stays a function, two kernels have two versions that round differently, and which
# one a process takes would depend on whether it has compiled the kernels or found them on the disk.
inner = njit(fastmath=FAST, error_model="numpy", forceinline=True)


@njit(fastmath={"contract", "nsz"}, error_model="numpy", forceinline=True)
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
def product(a, b, result):
    """result = a b; a BLAS call costs more than a small one."""
    if len(a) >= WORTH_BLAS:
        np.dot(a, b, result)
        return
    result[:] = 0
    for t in range(a.shape[0]):
        for u in range(a.shape[1]):
            for c in range(b.shape[1]):
                result[t, c] += a[t, u] * b[u, c]
