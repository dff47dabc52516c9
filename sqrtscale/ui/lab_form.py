"""The form of an experiment of one's own: the lab's settings as widgets, filled with what is shown above."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..lab import ALGORITHMS, CONVENTIONS, LAWS, PROBLEMS, RIGHT, RULES, Experiment, algorithm, experiment, noise
from ..lab.experiment import USUAL
from ..rules import FieldError
from ..runner import lab
from . import forms, inputs, lab_choices, lab_table
from .inputs import format_number
from .state import open_store, put
from .tables import sentence
from .timing import duration

KEY = "lab-run-"
FILLED = "what fills the form of the lab"
SECONDS = 30
PARAMETERS = {"student": "Degrees of freedom ν", "stable": "Stability α"}
FORMS = {"torch": "torch's: the new v", "paper": "the paper's: the old v"}
SWITCHES = ("rule", "convention")


def show(shown: Experiment, betas: tuple[float, ...] = (), kappa: float | None = None) -> None:
    """The widgets, what they would measure, and the button that starts it.

    betas, kappa: in place of those of what is shown, where the algorithm takes them.
    """
    _fill(shown, betas, kappa)
    boxes: dict[str, DeltaGenerator] = {}
    settings = _settings(boxes)
    try:
        made = experiment(**settings)
    except FieldError as error:
        place = error.field if error.field in boxes else "algorithm"
        forms.mark(boxes[place], error)
        made = None
    if made is not None:
        st.caption(_cost(made, settings.get("seconds")))
    if st.button("Run this experiment", type="primary", icon=":material/play_arrow:", disabled=made is None, key=f"{KEY}start"):
        assert made is not None
        st.switch_page("pages/lab.py", query_params={"id": lab.submit(open_store(), asdict(made))})


def _fill(shown: Experiment, betas: tuple[float, ...], kappa: float | None) -> None:
    """The widgets' values: of what is shown when that is another, else as they were left."""
    law = noise(shown.noise)
    wanted = len(shown.betas)
    decays = betas[-wanted:] if wanted and len(betas) >= wanted else shown.betas or experiment().betas
    values: dict[str, Any] = {
        "algorithm": shown.algorithm, "problem": shown.problem, "noise": law.name,
        **{name: noise(name).parameter for name in PARAMETERS}, "betas": " ".join(map(format_number, decays)),
        "kappa": format_number(kappa if kappa is not None and kappa >= 1 else shown.kappa), "seconds": str(SECONDS),
        "seed": str(shown.seed), "rule": shown.rule, "convention": shown.convention}
    if law.name in PARAMETERS:
        values[law.name] = law.parameter
    if st.session_state.get(FILLED) != values:
        st.session_state[FILLED] = values
        put({f"{KEY}{name}": value for name, value in values.items()})
    put({f"{KEY}{name}": value for name, value in values.items() if f"{KEY}{name}" not in st.session_state})


def _settings(boxes: dict[str, DeltaGenerator]) -> Mapping[str, Any]:
    """What the widgets say, unchecked; boxes: filled with the place below each of them."""
    columns = st.columns(3)
    for name, column in zip(("algorithm", "problem", "noise"), columns, strict=True):
        boxes[name] = column.container(gap="xxsmall")
    method = boxes["algorithm"].selectbox("Algorithm", ALGORITHMS, key=f"{KEY}algorithm", format_func=lab_choices.title,
                                          on_change=_fit_betas)
    problem = boxes["problem"].selectbox("Problem", PROBLEMS, key=f"{KEY}problem", format_func=lab_choices.problem_label)
    law = boxes["noise"].selectbox("Noise of the gradient", LAWS, key=f"{KEY}noise", format_func=_law)
    if law in PARAMETERS:
        about = noise(law).law.PARAMETER
        assert about is not None
        parameter = boxes["noise"].number_input(PARAMETERS[law], value=None, key=f"{KEY}{law}", step=0.1,
                                                help=f"Above {about.low:g}, at most {about.high:g}.")
        law = f"{law}:{parameter}"
    grid = st.grid(4, min_column_width=150)
    count = algorithm(method).BETAS
    texts: dict[str, str] = {}
    labels = {"betas": "β1 and β2 of the base" if count == 2 else "β2 of the base", "kappa": "κ, target over base",
              "seconds": "Seconds on two idle cores", "seed": "Seed"}
    if not count:  # its law is computed
        labels = {"kappa": labels["kappa"]}
    for name, label in labels.items():
        boxes[name] = grid.container(gap="xxsmall")
        texts[name] = boxes[name].text_input(label, key=f"{KEY}{name}")
    switched = [name for name, usual in zip(SWITCHES, (RIGHT, CONVENTIONS[0]), strict=True)
                if st.session_state[f"{KEY}{name}"] != usual]
    with st.expander("Switch an assumption off", expanded=bool(switched)):
        boxes["rule"], boxes["convention"] = st.container(gap="xxsmall"), st.container(gap="xxsmall")
        rule = boxes["rule"].selectbox("Rule by which a batch is scaled", list(RULES), key=f"{KEY}rule", format_func=_rule)
        convention = boxes["convention"].segmented_control(
            "Form of the step", CONVENTIONS, key=f"{KEY}convention", required=True, format_func=FORMS.__getitem__)
    given: dict[str, Any] = {"algorithm": method, "problem": problem, "noise": law, "rule": rule, "convention": convention}
    given |= {name: inputs.parsed(text) for name, text in texts.items() if name != "betas"}
    if count:
        given["betas"] = tuple(map(inputs.parsed, texts["betas"].replace(",", " ").split()))
    return given


def _fit_betas() -> None:
    """As many decay rates as the algorithm has that was just chosen: the last, or the usual ones."""
    count, given = algorithm(st.session_state[f"{KEY}algorithm"]).BETAS, st.session_state.get(f"{KEY}betas", "").split()
    usual = [format_number(beta) for beta in USUAL[count]]
    if count and len(given) != count:
        put({f"{KEY}betas": " ".join(given[-count:] if len(given) > count else usual)})


def _cost(made: Experiment, seconds: object) -> str:
    """How long it takes and what it compares, in one line."""
    if not made.betas:
        return "The law of signSGD is computed, not simulated: a few seconds, and no chance in it."
    steps = [made.one_minus_beta2(h) for h in (made.steps[0], made.steps[-1])]
    time = f"about {duration(float(seconds))} on two idle cores" if isinstance(seconds, int | float) else "some time"
    return sentence(f"{made.chains:,} chains of {made.fine_steps:,} fine steps, {time}: {len(made.steps)} batch sizes from "
                    f"1 − β2 = {steps[0]:.3g} to {steps[1]:.3g}. It goes on when you close the page.")


def _law(name: str) -> str:
    text = lab_table.law_label(name).partition(", ν")[0].partition(", α")[0]
    text += ")" * (text.count("(") - text.count(")"))
    return text[0].upper() + text[1:]


def _rule(rule: str) -> str:
    return "The square-root rule" if rule == RIGHT else f"Wrong: {lab_table.RULES[rule]}"
