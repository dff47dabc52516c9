"""An experiment as the command line that measures the same numbers again."""

from __future__ import annotations

import shlex

from .experiment import Experiment
from .wrong_rules import RIGHT


def command(made: Experiment) -> str:
    """``sqrtscale lab`` with everything that the numbers depend on."""
    words = ["sqrtscale", "lab", "--algorithm", made.algorithm, "--problem", made.problem, "--noise", made.noise]
    if made.betas:
        words += ["--betas", *map(_digits, made.betas)]
    words += ["--kappa", _digits(made.kappa)]
    if made.convention != "torch":
        words += ["--convention", made.convention]
    if made.rule != RIGHT:
        words += ["--rule", made.rule]
    if made.betas:
        words += ["--chains", str(made.chains), "--seed", str(made.seed)]
    return shlex.join(words)


def _digits(value: float) -> str:
    """All of them, and no more."""
    return short if float(short := f"{value:g}") == value else repr(value)
