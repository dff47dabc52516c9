"""What an outcome says, in sentences for people: the page and the command line show the same."""

from __future__ import annotations

from .experiment import LEVELS, SPAN
from .laws import noise
from .result import Prediction, WeakError
from .wrong_rules import RIGHT

FIRST_ORDER = ("First order means: over a fixed time, the mean of any smooth function of the weights differs from the SDE's by "
               "at most a constant times 1 - beta2. It says nothing about single paths, nor about times without end.")
NO_PROOF = ("A measured slope of 1 shows this for one function on one problem, down to the smallest step that was tried; it "
            "proves nothing about other functions, other problems or smaller steps.")
SHARED = ("In training a batch is a mean of samples, and a larger one is nearer to normal: what tails and skewness of the "
          "samples add to the distance from the SDE is nearly the same for base and scaled run, and most of it cancels between "
          "them.")
NOT_FIRST_ORDER = 0.9  # a predicted slope below it


def slope_sentence(outcome: WeakError, name: str) -> str:
    """The slope of one test function, or the reason why there is none."""
    slope, chains = outcome.slopes[name], outcome.experiment.chains
    if slope is not None:
        interval = "no chance in it" if outcome.exact else f"95% interval {slope.low:.2f} to {slope.high:.2f}"
        return f"{name}: slope {slope.slope:.2f} ({interval})."
    if name not in outcome.needed:
        return f"{name}: no slope, for the error vanishes or changes its sign within these steps."
    needed = outcome.needed[name]
    if needed is None:
        return f"{name}: not measurable with {chains:,} chains: its constant C1 may be 0."
    return f"{name}: not measurable with {chains:,} chains (about {float(f'{needed:.2g}'):,.0f} would do)."


def intercept_sentence(outcome: WeakError, name: str) -> str:
    """C0 of one test function and what it says."""
    intercept = outcome.intercepts[name]
    interval = f"C0 = {intercept.c0:.2g} ({intercept.low:.2g} to {intercept.high:.2g})"
    if not intercept.refuted:
        return f"{name}: {interval}: the error may well vanish with the batch size."
    return f"{name}: {interval}: an error stays however small the batch is, or it falls by another power than expected."


def prediction_sentence(outcome: WeakError, prediction: Prediction) -> str:
    """The error of the SDE at the base's or the target's batch, or how small it must be where it is lost in its noise."""
    where = "the base batch" if prediction.kappa == 1 else f"{prediction.kappa:g} times the base batch"
    axis = "" if prediction.one_minus_beta2 is None else f" (1 - beta2 = {prediction.one_minus_beta2:.3g})"
    guess = ", read off beyond the steps that were measured" if prediction.beyond else ""
    error = f"the {outcome.limit}'s error in {prediction.test_function} is"
    if not prediction.is_clear:
        return (f"At {where}{axis} {error} not measurable with {outcome.experiment.chains:,} chains, at most about "
                f"{prediction.size:.2g}{guess}.")
    share = "" if prediction.share is None else f", {prediction.share:.1%} of its change"
    return f"At {where}{axis} {error} about {prediction.size:.2g}{share}{guess}."


def expectation_sentence(outcome: WeakError) -> str:
    """What theory says should come out."""
    made = outcome.experiment
    if made.rule != RIGHT:
        return f"The rule is a wrong one ({made.rule}): its error is small at the base batch alone, and C0 is not 0."
    if made.algorithm == "signsgd":
        return ("signSGD sees the noise's density at 0 and no tails: slope 1 where the density is smooth there, 1/2 for "
                "Laplace's cusp.")
    return noise(made.noise).law.SAYS


def verdict_paragraph(outcome: WeakError) -> str:
    """What the outcome means for a verdict on a real run."""
    made = outcome.experiment
    at_target = [prediction for prediction in outcome.predictions if prediction.kappa == made.kappa]
    measured = [prediction for prediction in at_target if prediction.is_clear and prediction.share is not None]
    if made.rule != RIGHT:
        first = "This run shows what a wrong rule does: its difference to the base does not shrink with the batch, so a "\
                "calibration with enough seeds sees it."
    elif not at_target:
        first = f"At kappa = {made.kappa:g} the square-root rule asks for a beta below 0, so there is no run to predict."
    elif not measured:
        first = (f"At kappa = {made.kappa:g} the distance from the {outcome.limit} is not measurable with {made.chains:,} "
                 "chains, so this run says nothing about a verdict.")
    else:
        largest = max(measured, key=lambda prediction: prediction.share or 0.0)
        guess = ", read off beyond the steps that were measured" if largest.beyond else ""
        first = (f"Two runs that share {'a limit' if outcome.limit == 'limit' else 'an SDE'} still differ by their own distances "
                 f"from it: at kappa = {made.kappa:g} up to about {largest.share:.1%} of the change ({largest.test_function})"
                 f"{guess}. No calibration finds the rule exact below that.")
    slope = made.predicted_slope
    if slope is not None and made.rule == RIGHT and slope < NOT_FIRST_ORDER:
        first += f" This noise makes it shrink only as the power {slope:g} of the batch, by the same law at every batch size."
        first += "" if made.algorithm == "signsgd" else f" {SHARED}"
    return f"{first} Your loss is not {made.problem.replace('_', ' ')}: take the size as an example, never as a bound."


def sentences(outcome: WeakError) -> tuple[str, ...]:
    """All of it, in order."""
    names = outcome.test_functions
    return (expectation_sentence(outcome), *(slope_sentence(outcome, name) for name in names),
            *(intercept_sentence(outcome, name) for name in names if outcome.intercepts[name].refuted),
            *(prediction_sentence(outcome, each) for each in outcome.predictions if each.test_function == names[0]),
            verdict_paragraph(outcome), NO_PROOF)


def about(outcome: WeakError) -> str:
    """How it was measured, one sentence."""
    made = outcome.experiment
    if outcome.exact:
        return f"Exact on signSGD's lattice, {LEVELS} steps and more, over a time of {SPAN:g}."
    return f"{made.chains:,} chains of {made.fine_steps:,} fine steps, seed {made.seed}, over a time of {SPAN:g}."
