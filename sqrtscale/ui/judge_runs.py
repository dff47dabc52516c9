"""Which uploaded run is of which arm, and its seed: a row for each, with the guess and by what it was guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..compared import CONTROLS, LONGEST_NAME
from ..imported import arms_of, seeds_of
from ..logs import Run
from .tables import escaped

PREFIX = "judge-"  # of the keys of all answers
KEPT = "answers about logs"  # key -> answer, for when the page is opened again and its widgets are new
LEAVE_OUT = "leave out"
ARMS = ("base", "scaled", "linear lr", "unscaled")
ARMS_HELP = (
    "An arm is a configuration, with one run or several. Base is what the others are held against, scaled what follows the "
    f"rule; {' and '.join(CONTROLS[1:3])} are controls, which should differ from base. Another name can be typed."
)
PAIRED = {False: "No, or not known", True: "Yes, runs of the same seed"}
PAIRED_HELP = "Then each is compared with the base run of its seed, which needs fewer runs. Logs do not say it."


class Members(NamedTuple):
    """Arm -> its runs, base first; arm -> a seed for each run with a curve, where runs are paired and it is not as guessed."""

    runs: dict[str, list[Run]]
    seeds: dict[str, tuple[int, ...]]


def answered(key: str, guess: Any) -> Any:
    """What was answered before, else the guess: the default of a widget, so that the browser has it however a run ends."""
    return st.session_state.get(key, st.session_state.get(KEPT, {}).get(key, guess))


def keep() -> None:
    """Remember every answer."""
    state = st.session_state
    state[KEPT] = {**state.get(KEPT, {}), **{key: state[key] for key in state if str(key).startswith(PREFIX)}}


def forget() -> None:
    """Of other logs nothing is answered."""
    for key in [key for key in st.session_state if str(key).startswith(PREFIX)]:
        del st.session_state[key]
    st.session_state.pop(KEPT, None)


def paired() -> bool:
    """Whether runs of one seed belong together."""
    key = f"{PREFIX}paired"
    chosen: bool = st.radio(
        "Did base and the other arms see the same samples in the same order?",
        tuple(PAIRED),
        index=int(answered(key, False)),
        key=key,
        format_func=PAIRED.__getitem__,
        help=PAIRED_HELP,
    )
    return chosen


def members(runs: Sequence[Run], paired: bool, missing: list[str]) -> Members:
    """The runs of each arm, as they were assigned; adds to ``missing`` what is still to be said."""
    st.caption(ARMS_HELP)
    guesses = arms_of([run for run in runs if run.curves])
    chosen = {run.name: answered(_arm_key(run), guess.value if (guess := guesses.get(run.name)) else None) for run in runs}
    options = list(dict.fromkeys((*ARMS, *(arm for arm in chosen.values() if arm and arm != LEAVE_OUT), LEAVE_OUT)))
    arms: dict[str, str] = {}
    seed_boxes: dict[str, DeltaGenerator] = {}
    for run in runs:
        row = st.container(horizontal=True, vertical_alignment="center", gap="small")
        guess = guesses.get(run.name)
        reason = f"; arm by {guess.reason}" if guess and chosen[run.name] == guess.value else ""
        row.markdown(f"**{escaped(run.name)}**  \n:gray[:small[{escaped(_content(run) + reason)}]]", width=320)
        arm = row.selectbox(
            f"Arm of {run.name}",
            options,
            index=options.index(chosen[run.name]) if chosen[run.name] else None,
            key=_arm_key(run),
            placeholder="which arm?",
            accept_new_options=True,
            label_visibility="collapsed",
            width=160,
        )
        arms[run.name] = (arm or "").strip()[:LONGEST_NAME]
        if paired and run.curves:
            seed_boxes[run.name] = row.container(width=150)
    by_arm = _by_arm(runs, arms, missing)
    if not paired:
        return Members(by_arm, {})
    guessed = seeds_of(by_arm)
    seeds = {arm: _seeds(arm, by_arm[arm], guess.value, seed_boxes) for arm, guess in guessed.items()}
    if reasons := dict.fromkeys(escaped(guess.reason) for arm, guess in guessed.items() if seeds[arm] == guess.value):
        st.caption(f"Seeds, the number beside each arm, by {' and by '.join(reasons)}.")
    return Members(by_arm, {arm: typed for arm, typed in seeds.items() if typed != guessed[arm].value})


def _arm_key(run: Run) -> str:
    return f"{PREFIX}arm-{run.name}"


def _content(run: Run) -> str:
    files = list(dict.fromkeys(origin.path.name for origin in run.origins))
    what = f"{len(run.curves)} metric{'s' * (len(run.curves) != 1)}" if run.curves else "noise measurements"
    more = " with noise measurements" if run.curves and run.measurements else ""
    return f"{files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}, {what}{more}"


def _by_arm(runs: Sequence[Run], arms: Mapping[str, str], missing: list[str]) -> dict[str, list[Run]]:
    if undecided := [run.name for run in runs if not arms[run.name]]:
        missing.append(f"the arm of {', '.join(undecided[:3])}{' and others' if len(undecided) > 3 else ''}")
    by_arm: dict[str, list[Run]] = {}
    for arm in dict.fromkeys(("base", "scaled", *arms.values())):
        if arm not in ("", LEAVE_OUT) and (of_arm := [run for run in runs if arms[run.name] == arm]):
            by_arm[arm] = of_arm
    if "base" not in by_arm:
        missing.append("which runs are base")
    if all(arm in ("base", *CONTROLS) for arm in by_arm):
        missing.append("which runs are scaled")
    return by_arm


def _seeds(arm: str, runs: Sequence[Run], guesses: Sequence[int], boxes: Mapping[str, DeltaGenerator]) -> tuple[int, ...]:
    """A seed for each run of an arm that has a curve, in its row."""
    seeds = []
    for run, guess in zip((run for run in runs if run.curves), guesses, strict=True):
        key = f"{PREFIX}seed-{arm}-{run.name}"
        seed: int = boxes[run.name].number_input(
            f"Seed of {run.name}",
            min_value=0,
            max_value=10**12 - 1,  # as far as seeds are read from names and configurations
            value=int(answered(key, guess)),
            step=1,
            key=key,
            icon=":material/tag:",
            label_visibility="collapsed",
        )
        seeds.append(seed)
    return tuple(seeds)
