"""The lab: four pictures of stored results, what they mean for a verdict, and the way to results of one's own.

An address with ``?id=...`` is one of those.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from ..lab import RIGHT, WeakError, wording
from ..lab.stored import Stored, read, shipped
from ..rules import FieldError
from . import lab_choices, lab_form, lab_pictures, lab_runs, lab_table
from .lab_choices import Here
from .tables import escaped, sentence

INTRODUCTION = ("Training is a walk with noise. The square-root rule comes from a smooth walk, a stochastic differential "
                "equation (SDE), that Adam and RMSprop follow the more closely the smaller the batch is. Here both walk on small "
                "problems that can be computed thousands of times: you see how close they are, and what breaks that.")
UPLOAD = "lab-file"
FORM, RUNS = "run", "runs"  # anchors
FEWEST_ROWS = 2  # of the table of switches; else it is that of Adam


def show() -> None:
    """The whole page."""
    at, wrong_here = _here()
    if id := st.query_params.get("id"):
        lab_runs.show(id, at)
        return
    st.title("The lab: the equation behind the rule", anchor=False)
    st.caption(INTRODUCTION)
    lab_runs.ways(FORM, RUNS)
    uploaded = _uploaded()
    known = shipped()
    outcomes = [each.outcome for each in known]
    shown = uploaded or lab_choices.choose([each for each in known if each.outcome.courses], at)
    outcome = shown.outcome
    lab_pictures.about(shown)
    lab_pictures.courses(outcome)
    lab_pictures.errors(outcome, at, wrong_here, outcomes)
    lab_pictures.paths(outcome)
    _switches(outcomes, outcome.experiment.algorithm)
    st.header("What it means for a verdict", anchor=False)
    st.markdown(sentence(wording.verdict_paragraph(outcome)))
    st.page_link("pages/calibrate.py", label="Test a configuration on real data", icon=":material/science:")
    _own(shown, at)
    lab_runs.listing(RUNS)


def _here() -> tuple[Here | None, str]:
    """The current configuration, or why there is none."""
    try:
        return lab_choices.here(), ""
    except FieldError as error:
        return None, str(error)


def _switches(known: Sequence[WeakError], algorithm: str) -> None:
    st.header("4. Switch an assumption off", anchor=False)
    measured = lab_table.switches(known, algorithm)
    if len(measured) < FEWEST_ROWS:
        algorithm = lab_choices.USUAL
        measured = lab_table.switches(known, algorithm)
    rows = [{head: escaped(text) for head, text in row.items()} for row in lab_table.rows(measured)]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True,
             alt="For every switch the predicted and the measured slope and intercept")
    st.caption(f"{lab_choices.title(algorithm)} on the quadratic problem. A slope of 1: κ times the batch, κ times the error; a "
               "smaller one: a smaller batch helps less. C0 is the error that stays however small the batch is: not 0 means that "
               "the rule or the equation is wrong. In brackets 95% intervals; for signSGD, computed without chance, the extremes "
               "of neighbouring steps. Spread: the interquartile range of x at the end.")


def _own(shown: Stored, at: Here | None) -> None:
    st.header("Run an experiment of your own", anchor=FORM)
    made = shown.outcome.experiment
    if at is None:
        lab_form.show(made)
    else:
        st.caption(f"What is shown above, with {'your' if at.typed else 'the default'} decay rates and κ: change what you like.")
        lab_form.show(made, at.betas, at.kappa)
    with st.expander("In a terminal, or from a file"):
        if at is not None:
            st.code(lab_choices.command(shown, at), language="bash", wrap_lines=True)
        st.file_uploader("Open the file that it wrote", type="json", key=UPLOAD, max_upload_size=5)


def _uploaded() -> Stored | None:
    """The file that was opened, shown in place of the stored results until it is taken away."""
    file = st.session_state.get(UPLOAD)
    if file is None:
        return None
    try:
        stored = read(file.getvalue().decode("utf-8", "replace"))
    except FieldError as error:
        st.error(sentence(str(error)), title="This file cannot be shown")
        return None
    made = stored.outcome.experiment
    rule = "" if made.rule == RIGHT else f", {made.rule}"
    st.info(sentence(f"Shown: {file.name} ({made.algorithm}, {made.problem.replace('_', ' ')}, {made.noise}{rule}). Take the "
                     "file away below to see the stored results again."))
    return stored
