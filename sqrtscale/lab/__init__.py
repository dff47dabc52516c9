"""The lab: how far a discrete algorithm's expectations are from its SDE's, and what breaks when an assumption is switched off.

    from sqrtscale import lab
    outcome = lab.weak_error(algorithm="adam", problem="quadratic", noise="student:3", betas=(0.95, 0.99), kappa=4, seconds=30)
    outcome.slopes["E x"]

Order-1 weak approximation [Malladi et al. 2022, arXiv 2205.10287]: over a fixed time, |E phi(x_k) - E phi(X(k h))| <= C h for
every smooth phi of polynomial growth, with h = eta^2 and C the same for all eta. A measured slope shows that for some phi on one
problem; it proves nothing.
"""

from __future__ import annotations

from .algorithms import NAMES as ALGORITHMS
from .algorithms import algorithm
from .engine import measure, weak_error
from .experiment import CONVENTIONS, SECONDS, Experiment, Settings, experiment
from .laws import NAMES as LAWS
from .laws import noise
from .problems import NAMES as PROBLEMS
from .problems import problem
from .result import Course, Intercept, Level, Path, Prediction, Quantiles, Slope, WeakError
from .statistics import Interval
from .wrong_rules import RIGHT, RULES

__all__ = [
    "ALGORITHMS", "CONVENTIONS", "LAWS", "PROBLEMS", "RIGHT", "RULES", "SECONDS", "Course", "Experiment", "Intercept", "Interval",
    "Level", "Path", "Prediction", "Quantiles", "Settings", "Slope", "WeakError", "algorithm", "experiment", "measure", "noise",
    "problem", "weak_error",
]
