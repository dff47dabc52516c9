"""The pictures of one result of the lab, with what each of them says."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ..lab import RIGHT, WeakError, problem, wording
from ..lab.stored import Stored, shown_steps
from . import lab_charts, lab_table, live_plot
from .lab_choices import Here
from .tables import escaped, sentence

SIGNS = "signSGD has no β2: its axis is the step h = η², which grows with the batch like 1 − β2 of the others."


def about(shown: Stored) -> None:
    """Problem, betas, size and origin of what is shown."""
    made = shown.outcome.experiment
    betas = f"β = {', '.join(f'{beta:g}' for beta in made.betas)} at the base batch. " if made.betas else ""
    origin = f" Stored with version {shown.version}, {shown.date}." if shown.version else ""
    st.caption(f"{escaped(problem(made.problem).FORMULA)} {betas}{escaped(wording.about(shown.outcome))}{escaped(origin)}")


def courses(outcome: WeakError) -> None:
    """E phi over time of the SDE and of three learning rates."""
    st.header("1. The smaller the batch, the nearer to the equation", anchor=False)
    if not outcome.courses:
        st.info("This file has no courses: write it with `--pictures` to see them.")
        return
    names = outcome.test_functions
    if st.session_state.get("lab-function") not in names:
        st.session_state["lab-function"] = names[0]
    name = st.segmented_control("Averaged over all chains", names, required=True, key="lab-function",
                                format_func=lab_charts.LABELS.__getitem__,
                                help="x is the first weight, x² the squared length of all weights, 1/(1+x²) a bounded function.")
    made = outcome.experiment
    places = [made.one_minus_beta2(h) for h in shown_steps(outcome)]
    marked = "".join(f" {eta}: 1 − β2 = {place:.3g}." for eta, place in zip(lab_charts.ETAS, places, strict=False) if place)
    first = ("Above: the average over many trainings, for the equation and for three learning rates; below: how far each is "
             "from the equation (bar: 95% interval at the end).")
    second = ("By the square-root rule half the learning rate η belongs to a quarter of the batch: the curves should close in on "
              f"the {outcome.limit} as the batch shrinks." if made.rule == RIGHT else
              f"The rule is a wrong one here ({made.rule}): the curves need not close in on the {outcome.limit}.")
    live_plot.show(lab_charts.courses(outcome, name or names[0]), key=f"lab-courses-{name}", alt=f"{first} {second}{marked}",
                   file=live_plot.file_name("lab", "courses"))


def errors(outcome: WeakError, at: Here | None, problem_here: str, known: Sequence[WeakError]) -> None:
    """The error over 1 - beta2, with where the current configuration lies (or why it does not), and what was measured."""
    st.header("2. κ times the batch, κ times the error", anchor=False)
    made = outcome.experiment
    wrong = [other for other in known if other.experiment.rule != RIGHT and made.rule == RIGHT and made.noise == "gauss"
             and (other.experiment.algorithm, other.experiment.problem, other.experiment.betas)
             == (made.algorithm, made.problem, made.betas)]
    place = at.one_minus_beta2 if at and made.betas else None
    marked = lab_charts.marks(place, at.kappa) if at and place else ()
    slope = outcome.predicted_slope
    predicted = f"predicted slope {slope:g}" if slope else "no slope is predicted"
    words = [f"The error at the end over 1 − β2, both in powers of ten: {predicted}; hollow points are lost in their noise."]
    if wrong:
        words.append("Grey: wrong rules, whose error does not vanish with the batch (κ = 1, where all agree, is left out).")
    live_plot.show(lab_charts.errors(outcome, marked, wrong), key="lab-errors", alt=" ".join(words),
                   file=live_plot.file_name("lab", "errors"))
    if problem_here:
        st.caption(sentence(problem_here))
    elif not made.betas:
        st.caption(SIGNS)
    elif at is not None:
        st.markdown(_reading(outcome, at))
    st.markdown(sentence(wording.expectation_sentence(outcome)))
    words = [f"{lab_charts.LABELS[name]}: {lab_table.slope(outcome, name)}" for name in outcome.test_functions]
    words.append(wording.intercept_sentence(outcome, outcome.test_functions[0]))
    st.markdown("\n".join(f"- {sentence(text)}" for text in words))
    st.caption(f"{sentence(wording.FIRST_ORDER)} {sentence(wording.NO_PROOF)}")


def _reading(outcome: WeakError, at: Here) -> str:
    """Where the current configuration is, and what the error there would be on this problem."""
    place, name = at.one_minus_beta2, outcome.test_functions[0]
    whose = "Your configuration" if at.typed else "Scale's default configuration"
    if place is None:
        return f"{whose} has no second moment, so it has no place on this axis."
    parts = []
    for where, value in (("you are here", place), (f"κ = {at.kappa:.4g} times here", at.kappa * place)):
        if value >= 1:
            parts.append(f"at {where} β2 would be below 0, so the rule has no number")
            continue
        error = lab_charts.read_off(outcome, name, value)
        text = f"{where} (1 − β2 = {value:.3g})"
        if error is None:
            parts.append(f"{text}: not measurable with {outcome.experiment.chains:,} chains")
        else:
            beyond = ", read off beyond the steps that were measured" if error[1] else ""
            parts.append(f"{text}: an error in {lab_charts.LABELS[name]} of about {error[0]:.2g}{beyond}")
    betas = ", ".join(f"{beta:g}" for beta in outcome.experiment.betas)
    measured = "" if at.betas[-len(outcome.experiment.betas):] == outcome.experiment.betas else (
        f" Measured with β = {betas} at the base: with another ratio of 1 − β1 to 1 − β2 the constant is another; an experiment "
        "of your own, below, measures it with yours.")
    return escaped(f"{whose} on this problem: {'; '.join(parts)}.{measured}")


def paths(outcome: WeakError) -> None:
    """Quantiles over time, and one path of each."""
    st.header("3. The same noise, two walks", anchor=False)
    if not outcome.paths or not outcome.quantiles:
        st.info("This file has no paths: write it with `--pictures` to see them.")
        return
    steps = shown_steps(outcome)
    place = st.segmented_control("Learning rate", range(len(steps)), required=True, default=0, key=f"lab-eta-{len(steps)}",
                                 format_func=lab_charts.ETAS.__getitem__)
    live_plot.show(lab_charts.paths(outcome, steps[place]), key="lab-paths",
                   alt="Where 90 and 50 of 100 walks of the equation are (filled, with the median), and the same of the "
                       "algorithm (dotted); thick: one walk of each on the same random numbers, played over time.",
                   file=live_plot.file_name("lab", "paths"))
