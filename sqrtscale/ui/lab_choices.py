"""What the lab shows: chosen by widgets that stand in the address, and where the current configuration lies in it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import streamlit as st

from ..lab import ALGORITHMS, RIGHT, Experiment, algorithm
from ..lab.laws import noise
from ..lab.stored import Stored
from ..rules import FieldError, family
from . import forms, inputs, lab_table
from .state import put, went_back

NAMES = ("algorithm", "problem", "law", "betas")  # in the address
TITLES = {"algorithm": "Algorithm", "problem": "Problem", "law": "Noise of the gradient", "betas": "Decay rates at the base"}
LAST = "lab"
PROBLEMS = {"quadratic": "Quadratic", "double_well": "Double well", "regression": "Linear regression", "net": "Small network",
            "constant_noise": "Quadratic with constant noise"}
USUAL = "adam"
SECONDS = 60


class Here(NamedTuple):
    """The current configuration as the lab takes it; betas: none where it has no second moment; typed: by the user."""

    algorithm: str
    betas: tuple[float, ...]
    kappa: float
    typed: bool

    @property
    def one_minus_beta2(self) -> float | None:
        return 1 - self.betas[-1] if self.betas else None


def here() -> Here:
    """The one configuration of all pages, else Scale's defaults; raises FieldError for texts that make none."""
    given = forms.current()
    typed = given is not None
    if given is None:
        given, _ = inputs.read({})
    if given is None:
        raise FieldError("configuration", "", "cannot be read: open Scale and mend it")
    about = family(given.config.optimizer)
    betas = tuple(float(given.config[name]) for name in about.moments or () if name)
    name = given.config.optimizer
    method = name if name in ALGORITHMS else "rmsprop" if len(betas) == 1 else USUAL
    return Here(method, betas, given.target_batch / given.config.batch_size, typed)


def choose(results: Sequence[Stored], at: Here | None) -> Stored:
    """The result that the widgets choose, each among what the ones before it leave; at first what is nearest to ``at``."""
    address = {name: st.query_params[name] for name in NAMES if name in st.query_params}
    asked: Mapping[str, str] = address or ({} if went_back() else st.session_state.get(LAST, {}))
    usual = {"algorithm": at.algorithm if at else USUAL, "betas": _text(at.betas) if at else ""}
    grid = st.grid(4, min_column_width=150)
    kept = sorted(results, key=_usual_first)
    is_usual = True
    for name in NAMES:
        options = list(dict.fromkeys(_of(result, name) for result in kept))
        if options == [""]:  # decay rates of signSGD
            continue
        first = usual.get(name, "")
        with grid.container():
            chosen = _choice(name, options, asked.get(name, first))
        is_usual &= chosen == _fitting(name, options, first)
        kept = [result for result in kept if _of(result, name) == chosen]
    now = {name: text for name in NAMES if (text := _of(kept[0], name))}
    st.session_state[LAST] = now
    # All at once, and not where it says nothing: what changes an address is one more step for the browser's way back.
    if address != now and (address or not is_usual):
        others = {name: text for name, text in st.query_params.items() if name not in NAMES}
        st.query_params.from_dict(others | now)
    return kept[0]


def title(name: str) -> str:
    """An algorithm's name for people."""
    return algorithm(name).TITLE


def problem_label(name: str) -> str:
    """A problem's name for people."""
    return PROBLEMS.get(name, name.replace("_", " "))


def named(made: Experiment) -> str:
    """What an experiment is about, in a few words: ``Adam, quadratic, normal noise``."""
    parts = [title(made.algorithm), problem_label(made.problem).lower(), lab_table.law_label(made.noise)]
    if made.rule != RIGHT:
        parts.append(lab_table.RULES[made.rule])
    if made.convention != "torch":
        parts.append("the paper's form")
    return ", ".join(parts)


def command(shown: Stored, at: Here) -> str:
    """The command line that measures the same with betas and kappa of the current configuration, into a file for this page."""
    made = shown.outcome.experiment
    words = ["sqrtscale", "lab", "--algorithm", made.algorithm, "--problem", made.problem, "--noise", made.noise]
    if made.betas and len(at.betas) >= len(made.betas):
        words += ["--betas", *(f"{beta:g}" for beta in at.betas[-len(made.betas):])]
    if 1 < at.kappa <= 4096:
        words += ["--kappa", f"{at.kappa:g}"]
    return f"{shlex.join(words)} --seconds {SECONDS} --json --pictures > lab.json"


def nearest(law: str, options: Sequence[str]) -> str | None:
    """Of the laws to choose from the one of that kind with the nearest parameter."""
    try:
        wanted = noise(law)
    except FieldError:
        return None
    alike = [each for each in map(noise, options) if each.name == wanted.name]
    return str(min(alike, key=lambda each: abs(each.parameter - wanted.parameter))) if alike else None


def nearest_betas(betas: str, options: Sequence[str]) -> str | None:
    """Of the decay rates to choose from those with the nearest ratio of 1 - beta1 to 1 - beta2, on which the constant depends."""
    def ratio(text: str) -> float:
        first, second = map(float, text.split())
        return math.log((1 - first) / (1 - second))

    try:
        wanted = ratio(betas)
        return min(options, key=lambda option: abs(ratio(option) - wanted))
    except (ValueError, ZeroDivisionError):
        return None


def _usual_first(result: Stored) -> tuple[str, int, bool, str, bool, str]:
    made = result.outcome.experiment
    return (made.algorithm, list(PROBLEMS).index(made.problem), made.noise != "gauss", made.noise,
            made.betas[:1] != made.betas[1:], _text(made.betas))


def _text(betas: Sequence[float]) -> str:
    """Decay rates in the address."""
    return " ".join(f"{beta:g}" for beta in betas)


def _of(result: Stored, name: str) -> str:
    made = result.outcome.experiment
    return {"algorithm": made.algorithm, "problem": made.problem, "law": made.noise, "betas": _text(made.betas)}[name]


def _choice(name: str, options: Sequence[str], wanted: str) -> str:
    key = f"lab-{name}"
    if st.session_state.get(key) not in options or went_back():
        put({key: _fitting(name, options, wanted)})
    chosen: str = st.selectbox(TITLES[name], options, key=key, format_func=partial(_label, name))
    return chosen


def _fitting(name: str, options: Sequence[str], wanted: str) -> str:
    """What is wanted where that is an option, else the nearest to it, else the first."""
    near = {"law": nearest, "betas": nearest_betas}.get(name)
    return wanted if wanted in options else (near(wanted, options) if near else None) or options[0]


def _label(name: str, text: str) -> str:
    if name == "law":
        label = lab_table.law_label(text)
        return label[0].upper() + label[1:]
    if name == "betas":
        return ", ".join(f"β{i} = {beta}" for i, beta in zip(("1", "2") if " " in text else ("2",), text.split(), strict=True))
    return title(text) if name == "algorithm" else problem_label(text)
