"""What logs do not say and nobody may guess in silence: each question with the guess, by what it was guessed, and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..compared import VALUES, Axis, Values
from ..imported import Answers, Selection, batch_of, metric_of
from ..logs import Run
from ..rules import FieldError
from ..rules.config import LARGEST_BATCH
from ..rules.errors import positive_margin, whole
from . import forms, inputs, judge_runs
from .judge_runs import PREFIX, answered
from .tables import escaped

MOST_RUNS = 100  # each has its own row of widgets
AXES: Mapping[Axis, tuple[str, str, str]] = {  # the column of the logs, label, what it means
    "steps": ("step", "Optimizer steps", "turned into samples by the batch of each arm"),
    "samples": ("samples", "Samples", "examples seen, the same unit in every arm"),
    "tokens": ("tokens", "Tokens", "tokens seen, the same unit in every arm"),
}
AXIS_HELP = "W&B's own step counts calls of log: optimizer steps only where every step was logged."
KINDS: Mapping[Values, tuple[str, str]] = {
    "evaluation": ("Evaluations", "on the same held-out data each time: compared where they stand"),
    "window": ("Means over a window of steps", "training loss since the last point: compared in bins of samples"),
    "batch": ("Single batches", "training loss of one batch, whose noise falls with its size: compared in bins of samples"),
}
SINCE_HELP = (
    "Cuts off a warm-up, or a start that all arms share. The rule holds where noise dominates the gradient, which it does "
    "not at the very beginning."
)
MARGIN_HELP = (
    "How far apart the curves may lie and still count as equal, in the metric's unit. Empty: 1% of base's end value and "
    "its spread between seeds."
)
WIDTH = 520  # pixels of a box that holds one name


class Asked(NamedTuple):
    """What was answered; missing: what is still to be said, in words, and answers None as long as something is."""

    selections: tuple[Selection, ...]
    answers: Answers | None
    name: str
    missing: tuple[str, ...]


def show(runs: Sequence[Run]) -> Asked:
    """All questions about those runs. Raises FieldError where there is nothing that could be judged."""
    if len(runs) > MOST_RUNS:
        refused = (
            f"are more than the {MOST_RUNS} that this page has rows for: put them aside and give fewer, or use sqrtscale judge"
        )
        raise FieldError("runs", len(runs), refused)
    missing: list[str] = []
    try:
        st.header("The runs", anchor=False)
        paired = judge_runs.paired()
        by_arm, seeds = judge_runs.members(runs, paired, missing)
        batches = _batches(by_arm, missing)
        metric, values, axis = _curves([run for arm in by_arm.values() for run in arm if run.curves], missing)
        since, margin, name = _details(axis, missing)
    finally:
        judge_runs.keep()
    selections = tuple(Selection(arm, tuple(by_arm[arm]), batch, seeds.get(arm)) for arm, batch in batches.items())
    answers = Answers(axis, metric, values, paired, margin, since) if axis and not missing else None
    return Asked(selections, answers, name, tuple(missing))


def _batches(by_arm: Mapping[str, Sequence[Run]], missing: list[str]) -> dict[str, int]:
    """The global batch size of each arm that has a good one."""
    if not by_arm:
        return {}
    st.header("Their batches", anchor=False)
    st.caption("The global batch: per device × accumulation × devices, for example 1024 or 8 x 4 x 32.")
    batches: dict[str, int] = {}
    grid = st.grid(min(len(by_arm), 4), min_column_width=150)
    for arm, runs in by_arm.items():
        guesses = [guess for run in runs if (guess := batch_of(run))]
        guess = guesses[0] if len({guess.value for guess in guesses}) == 1 else None
        key = f"{PREFIX}batch-{arm}"
        box = grid.container(gap="xxsmall")
        text = box.text_input(
            f"Batch of {arm}", answered(key, str(guess.value) if guess else ""), key=key, max_chars=40, live=forms.PAUSE
        )
        try:
            if text.strip():
                parts = inputs.batch_in_parts(text)
                batches[arm] = whole("batch_size", parts.size if parts else inputs.parsed(text), 1, 256, LARGEST_BATCH)
        except FieldError as error:
            forms.mark(box, error)
        if arm not in batches:
            missing.append(f"the batch of {arm}")
        elif guess and batches[arm] == guess.value:
            box.caption(f"by {escaped(guess.reason)}")
    return batches


def _curves(runs: Sequence[Run], missing: list[str]) -> tuple[str, Values, Axis | None]:
    """What is compared, what a value of it is, and what counts its points."""
    if not runs:
        return "", "evaluation", None
    st.header("The curves", anchor=False)
    known, likely = metric_of(runs)
    if not known:
        every = ", ".join(list(dict.fromkeys(name for run in runs for name in run.curves))[:8])
        refused = f"is shared by none of these runs: they have {every}; leave out those that logged something else"
        raise FieldError("metric", "", refused)
    key, options = f"{PREFIX}metric", list(known)
    chosen = answered(key, likely)
    metric = st.selectbox(
        "Metric",
        options,
        index=options.index(chosen if chosen in known else likely),
        key=key,
        width=WIDTH,
        help="Those that all these runs have, losses first",
    )
    guess, key = known[metric], f"{PREFIX}values-{metric}"
    kinds = tuple(VALUES)
    values: Values = st.radio(
        f"The values of {escaped(metric)} are",
        kinds,
        index=kinds.index(answered(key, guess.value)),
        key=key,
        format_func=lambda kind: KINDS[kind][0],
        captions=[KINDS[kind][1] for kind in kinds],
    )
    if values == guess.value:
        st.caption(f"By {escaped(guess.reason)}.")
    return metric, values, _axis(metric, runs, missing)


def _axis(metric: str, runs: Sequence[Run], missing: list[str]) -> Axis | None:
    """What the logs count: whether a number counts steps cannot be seen in it, so that is not guessed."""
    options = [axis for axis, (column, _, _) in AXES.items() if all(column in run.curves[metric].axes for run in runs)]
    if not options:
        refused = (
            "was not logged over steps, samples or tokens by all of these runs: leave out those that were not, or name the "
            "column where files are read"
        )
        raise FieldError("metric", metric, refused)
    key = f"{PREFIX}axis"
    chosen = answered(key, None if "steps" in options or len(options) > 1 else options[0])
    axis: Axis | None = st.radio(
        "What do the logs count?",
        options,
        index=options.index(chosen) if chosen in options else None,
        key=key,
        format_func=lambda axis: AXES[axis][1],
        captions=[f"their {AXES[axis][0]}, {AXES[axis][2]}" for axis in options],
        help=AXIS_HELP,
    )
    if axis is None:
        missing.append("what the logs count")
    return axis


def _details(axis: Axis | None, missing: list[str]) -> tuple[int, float | None, str]:
    """Where the comparison begins, the margin, and a name; none of them has to be given."""
    grid = st.grid(3, min_column_width=200)
    boxes = [grid.container(gap="xxsmall") for _ in range(3)]
    counted = "tokens" if axis == "tokens" else "samples"
    since_text = _text(boxes[0], f"Compare from ({counted})", "since", "0: the beginning", SINCE_HELP)
    margin_text = _text(boxes[1], "Margin", "margin", "1% of base's end value", MARGIN_HELP)
    name = _text(boxes[2], "Name", "name", "optional")
    since, margin = 0, None
    try:
        since = whole("from_samples", inputs.parsed(since_text), 0, 0) if since_text else 0
    except FieldError as error:
        forms.mark(boxes[0], error)
        missing.append("where the comparison begins")
    try:
        margin = positive_margin(inputs.parsed(margin_text)) if margin_text else None
    except FieldError as error:
        forms.mark(boxes[1], error)
        missing.append("the margin")
    return since, margin, name


def _text(box: DeltaGenerator, label: str, name: str, placeholder: str, help: str | None = None) -> str:
    key = f"{PREFIX}{name}"
    text: str = box.text_input(label, answered(key, ""), key=key, max_chars=200, placeholder=placeholder, help=help)
    return text.strip()
