"""How sharply the loss may bend before an optimizer's steps grow: the stability limit, and how far a batch can go under it.

Along an eigenvector of P^-1/2 H P^-1/2, with the Hessian H and the frozen preconditioner P (sqrt(v) + eps, or 1), a step is a
linear recursion in the weight and its buffer, stable while the eigenvalue a / lr stays below a limit. With an average
m = beta m + (1 - beta) g

    theta -= lr m:  a < (2 + 2 beta) / (1 - beta)        [Cohen et al. 2022, arXiv 2207.14484: 38 / lr at beta 0.9]
    theta -= lr (beta m + (1 - beta) g):  a < (2 + 2 beta) / ((1 - beta) (1 + 2 beta)),    a look-ahead

and a buffer without the factor, b = mu b + g, has 2 + 2 mu instead; beta = 0 gives gradient descent's 2 / lr. Training on real
networks often settles near this limit (the edge of stability) rather than diverging beyond it.

To another batch the preconditioner moves as well: v' = (q / kappa) v with q of ``sqrtscale.rules.signal``, so that the sharpness
in its metric grows by sqrt(kappa / q), and lr times it by kappa whenever lr' keeps the drift per sample: kappa times fewer steps
must each go kappa times as far. With beta kept, curvature uses up the limit in proportion to kappa; with 1 - beta scaled too,
about to its square.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from .config import LARGEST_BATCH, TrainingConfig
from .errors import FieldError, real
from .exact import SAME
from .families import Family, family
from .kind import Decay, DecayForm, Momentum, Power
from .scaled import MomentumForm, ScaledConfig
from .signal import excess
from .transfer import scale

NEAR = 0.9  # share of the limit from which on a step counts as meeting curvature


def stability_limit(config: TrainingConfig, lr_factor: float = 1.0) -> float:
    """The largest eigenvalue of P^-1/2 H P^-1/2 at which the steps do not grow, for lr times a schedule's factor.

    Of the hyperparameters outside parameter groups, once warm-ups of the optimizer's own (bias correction, NAdam's momentum) are
    over; weight decay is left out.
    """
    optimizer = family(config.optimizer)
    beta, normalised = _memory(optimizer, config)
    limit = (2 + 2 * beta) / ((1 - beta if normalised else 1.0) * (1 + 2 * beta if optimizer.look_ahead else 1.0))
    lr = config["lr"] * lr_factor
    return limit / lr if lr > 0 else math.inf


def _memory(optimizer: Family, config: TrainingConfig) -> tuple[float, bool]:
    """How much of the buffer of gradients a step keeps, and whether the new one enters with the factor 1 - that."""
    for name, field in optimizer.fields.items():
        if isinstance(field.kind, Momentum):
            return config[name], False
        if name == "beta1" and isinstance(field.kind, Decay):
            return config[name], True
    return 0.0, True


def sentence(config: TrainingConfig, sharpness: float, largest_kappa: float) -> str:
    """How far one can go under the curvature, for a user; sharpness, largest_kappa: as for ``largest_stable_kappa``."""
    share = sharpness / stability_limit(config)
    if math.isinf(largest_kappa):
        return (f"The steps bear the curvature at every kappa that the form has numbers for (the base is at {share:.1%} of its "
                "limit).")
    if largest_kappa < 1:
        return (f"The base itself is at {share:.0%} of the sharpness that its steps bear: it trains at the edge of stability, "
                "and the steps of a larger batch meet curvature from the start.")
    kept = ", beta1 kept higher once the fast start is over" if "beta1" in family(config.optimizer).fields else ""
    return (f"The steps bear the curvature up to kappa = {largest_kappa:.3g} (the base is at {share:.1%} of its limit): beyond "
            "it they overshoot along the sharpest direction, where training may lag or grow unstable. What may help: a smaller "
            f"kappa{kept}, a warm-up by samples (not measured here).")


def beta1_floor(config: TrainingConfig, sharpness: float) -> float:
    """The smallest beta1 at which an average of gradients bears this sharpness S: (lr S - 2) / (lr S + 2), or 0."""
    steps = config["lr"] * sharpness
    return max(0.0, (steps - 2) / (steps + 2))


def moved_sharpness(config: TrainingConfig, target_batch: int, sharpness: float, noise_scale: float | None = None) -> float:
    """The sharpness of the same weights in the metric of another batch; noise_scale: left out, noise dominates."""
    kappa = target_batch / config.batch_size
    optimizer = family(config.optimizer)
    rate = optimizer.fields["lr"].kind
    divided = isinstance(rate, Power) and rate.noise_power == 1  # whether lr multiplies a gradient over sqrt(v)
    q = 1.0 if noise_scale is None or optimizer.noise_alone else excess(config.batch_size, target_batch, noise_scale)
    return sharpness * math.sqrt(kappa / q) if divided else sharpness


def largest_stable_kappa(config: TrainingConfig, sharpness: float, decay_form: DecayForm = "linear",
                         momentum_form: MomentumForm = "kept", noise_scale: float | None = None) -> float:
    """The largest kappa at which the scaled configuration still bears the curvature; below 1 where the base itself does not.

    sharpness: preconditioned, of the base's weights in the base's metric. By bisection over whole batches; 0 where not even batch
    1 bears it, infinite where it does as far as the form has numbers. Raises FieldError for a sharpness that is none.
    """
    config = replace(config, total_steps=None, warmup_steps=None)  # of no matter to a step
    allowed = "is no sharpness: give a finite number above 0, the largest eigenvalue in the metric of the preconditioner"
    if real("sharpness", sharpness, allowed) <= 0:
        raise FieldError("sharpness", sharpness, allowed)

    def scaled(batch: int) -> ScaledConfig | None:
        try:
            answer = scale(config, batch, decay_form, momentum_form, noise_scale=noise_scale)
            return answer if answer.complete else None
        except FieldError:  # none that a float holds
            return None

    def bears(batch: int) -> bool:
        there = scaled(batch)
        return there is not None and (moved_sharpness(config, batch, sharpness, noise_scale)
                                      <= stability_limit(there.config) * (1 + SAME))

    furthest = _largest(lambda batch: scaled(batch) is not None)
    largest = _largest(bears)  # the limit falls as the batch grows
    return math.inf if largest == furthest else largest / config.batch_size


def _largest(holds: Callable[[int], bool]) -> int:
    """The largest batch at which it holds, where it does not beyond; 0 for none."""
    low, high = 0, LARGEST_BATCH + 1
    while high - low > 1:
        middle = (low + high) // 2 if low else max(1, math.isqrt(high))
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
