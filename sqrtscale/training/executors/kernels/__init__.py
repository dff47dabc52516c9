"""Training steps of the built-in transformer, compiled for a CPU: loss, gradient by hand, clipping, optimizer.

A small model's step is bound by the cost of calling operations, so here is none: one call makes many steps of one model, and
its activations stay in the cache. Matrix products are BLAS's; everything else is loops. The tests hold the gradients to autograd
through ``tasks.transformer`` and the updates to torch.optim. Importing this package needs numba.
"""

from __future__ import annotations

from .arithmetic import exp
from .cache import is_kept
from .steps import ADAM, ADAMW, NONE, RMSPROP, evaluate, train

__all__ = ["ADAM", "ADAMW", "NONE", "RMSPROP", "evaluate", "exp", "is_kept", "train"]
