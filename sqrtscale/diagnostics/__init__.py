"""What is measured of a run beside the task's own metrics: names, units and meanings, for whoever writes or reads them.

They travel as ordinary points of curves. Importing this loads nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnostic:
    """A measured quantity: its unit and its meaning in one line."""

    unit: str
    meaning: str


REGIME: dict[str, Diagnostic] = {
    "signal": Diagnostic("squared gradient", "|G|^2: squared norm of the mean gradient, estimated without bias (may be below 0)"),
    "noise": Diagnostic("squared gradient x samples", "tr(Sigma): summed variance of the gradient of one sample"),
    "signal_pre": Diagnostic("1", "|G|^2 with each coordinate divided by sqrt(v_hat) + eps, as the optimizer divides it"),
    "noise_pre": Diagnostic("samples", "tr(Sigma) with each coordinate divided by sqrt(v_hat) + eps"),
    "second_moment": Diagnostic("squared gradient", "mean over coordinates of the optimizer's second moment, bias corrected"),
    "update_rms": Diagnostic("weight", "root mean square over coordinates of the last step, decay of the weights included"),
    "eps_share": Diagnostic("share", "mean over coordinates of eps / (sqrt(v_hat) + eps)"),
    "lr_factor": Diagnostic("1", "learning rate over base's, of an arm that follows the noise scale as it is measured"),
    "clipped": Diagnostic("share", "steps since the last measurement whose gradient norm exceeded clip_norm"),
    "skipped": Diagnostic("steps", "steps since the last measurement that were left out, as a gradient overflowed in float16"),
}
CURVATURE: dict[str, Diagnostic] = {
    "sharpness": Diagnostic("1 / lr", "largest eigenvalue of P^-1/2 H P^-1/2 with the loss's Hessian H on a fixed batch and "
                                      "P = sqrt(v_hat) + eps: the preconditioned sharpness"),
    "sharpness_limit": Diagnostic("1 / lr", "sharpness up to which the optimizer's steps do not grow, at its learning rate then"),
}
TAILS: dict[str, Diagnostic] = {  # followed by "/" and a layer's name
    "tail": Diagnostic("1", "stable index of the layer's gradient noise [Mohammadi et al. 2015]; 2 is Gaussian"),
    "tail_error": Diagnostic("1", "standard error of tail, over micro-batches"),
    "hill": Diagnostic("1", "Hill's tail index of the layer's gradient noise; above 2 the variance is finite"),
    "hill_error": Diagnostic("1", "standard error of hill, over micro-batches"),
    "skewness_squared": Diagnostic("1", "mean over weights of the squared skewness of their gradient noise (may be below 0)"),
    "skewness_squared_error": Diagnostic("1", "standard error of skewness_squared, over micro-batches"),
    "normality": Diagnostic("share", "random projections of the noise that Anderson and Darling's test rejects as normal at 5%"),
}


def about(metric: str) -> Diagnostic | None:
    """What a curve of that name measures, or None for a metric of a task."""
    name, of_a_layer, _ = metric.partition("/")
    return TAILS.get(name) if of_a_layer else (REGIME | CURVATURE).get(name)
