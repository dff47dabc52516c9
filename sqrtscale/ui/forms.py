"""The form of the Scale page. What is typed stands in the URL, so the address is the share link."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from ..rules import DECAY_FORMS, FAMILIES, FieldError, family
from . import inputs, tables
from .inputs import Inputs

LABELS = {"batch_size": "Base batch", "target_batch": "Target batch", "total_steps": "Total steps",
          "warmup_steps": "Warm-up steps"}
HELP = {
    "batch_size": "Global batch in samples: per-device batch * accumulation * devices.",
    "target_batch": "The global batch you want to train with, larger or smaller than the base.",
}
DECAY_LABELS = {"linear": "Linear", "half-life": "Half-life"}
DECAY_HELP = ("How decays move. Linear is the paper's rule, 1 - κ (1 - β). Half-life is β^κ: it agrees while κ (1 - β) "
              "is small, and has a number for every κ.")
CHOICES = {"opt": tuple(FAMILIES), "form": DECAY_FORMS}
SHORT = 40  # characters: longer than any number with all its digits
PAUSE = "500ms"  # an answer while typing, but not one per keystroke
NARROW = 95  # pixels: three fields beside each other on a telephone
KEPT = "transfer"
REFUSED = "refused choices"


class Kept(NamedTuple):
    """What the last run left behind: the widgets' values, and those inputs that went into the address."""

    values: dict[str, str | None]
    link: dict[str, str]


class Asked(NamedTuple):
    """The answers of the form: inputs or, when there are none, what is wrong; and the link that says the same."""

    inputs: Inputs | None
    errors: tuple[FieldError, ...]
    link: dict[str, str]


def configuration_from_query() -> Inputs | None:
    """What a link from the Scale page carries: (config, target_batch, decay_form), or None when it carries nothing.

    Raises FieldError with one readable sentence for an address that does not make a configuration.
    """
    texts = inputs.carried(st.query_params.to_dict())
    if not texts:
        return None
    found, errors = inputs.read(texts)
    if errors:
        raise next(iter(errors.values()))
    return found


def training_configuration() -> Asked:
    """The form: optimizer, batches, hyperparameters, lengths. Bad input is marked below its field."""
    _load()
    boxes = {"opt": st.container(gap="xxsmall")}
    boxes["opt"].segmented_control("Optimizer", CHOICES["opt"], required=True, key="opt", width="stretch",
                                   format_func=lambda name: family(name).label, on_change=_take_defaults)
    kin = family(st.session_state["opt"] or inputs.DEFAULT_OPTIMIZER)
    rest = [name for name in kin.fields if name not in ("lr", "weight_decay")]
    for names in (["batch_size", "target_batch"], ["lr", "weight_decay"], rest):
        grid = st.grid(len(names), min_column_width=NARROW)
        boxes |= {inputs.key(name): _text(name, LABELS.get(name) or kin.fields[name].label, grid) for name in names}
    given = any(st.session_state[name] for name in ("steps", "warmup"))
    with st.expander("Schedule and decay form", expanded=given or st.session_state["form"] != DECAY_FORMS[0]):
        grid = st.grid(2, min_column_width=NARROW)
        for name in ("total_steps", "warmup_steps"):
            boxes[inputs.key(name)] = _text(name, LABELS[name], grid, placeholder="optional")
        boxes["form"] = st.container(gap="xxsmall")
        boxes["form"].segmented_control("Decay form", DECAY_FORMS, required=True, key="form", help=DECAY_HELP,
                                        format_func=DECAY_LABELS.get)
    texts = {name: st.session_state[name] for name in boxes}
    texts |= {name: text for name, text in st.session_state[REFUSED].items() if texts[name] is None}
    found, errors = inputs.read(texts)
    for name, error in errors.items():
        advice = error.allowed.split(": ", 1)[-1]
        boxes[name].markdown(f":small[:red[{tables.plain(advice[0].upper() + advice[1:])}]]")
    return Asked(found, tuple(errors.values()), _save(texts))


def use_half_life() -> None:
    """Callback of the button that stands beside a decay without a number."""
    st.session_state["form"] = "half-life"


def _text(name, label, grid, **options):
    box = grid.container(gap="xxsmall")
    box.text_input(label, key=inputs.key(name), live=PAUSE, max_chars=SHORT, help=HELP.get(name), **options)
    return box


def _load() -> None:
    """Fill the widgets from the address or from what was typed before, when either is new to them."""
    kept = st.session_state.get(KEPT, Kept({}, {}))
    address = inputs.carried(st.query_params.to_dict())
    if "opt" not in st.session_state:  # opened by a link, or again after another page
        _fill(address or kept.link)
    elif address != kept.link and all(st.session_state.get(name) == was for name, was in kept.values.items()):
        _fill(address)  # the address changed and no input did: Back or Forward


def _fill(texts: dict[str, str]) -> None:
    """Put texts into the widgets; a choice that does not exist selects nothing and is remembered as refused."""
    refused, chosen = {}, {}
    for name, known in CHOICES.items():
        wanted = texts.get(name, inputs.defaults(inputs.DEFAULT_OPTIMIZER)[name])
        chosen[name] = wanted.lower() if wanted.lower() in known else None
        if chosen[name] is None:
            refused[name] = wanted
    first = inputs.defaults(chosen["opt"] or inputs.DEFAULT_OPTIMIZER)
    for name, text in first.items():
        st.session_state[name] = chosen[name] if name in chosen else texts.get(name, text)[:SHORT]
    st.session_state[REFUSED] = refused


def _take_defaults() -> None:
    """Another optimizer: what still stands at the old one's default goes to the new one's; what was typed stays."""
    was = inputs.defaults(st.session_state[KEPT].values["opt"] or inputs.DEFAULT_OPTIMIZER)
    for name, text in inputs.defaults(st.session_state["opt"]).items():
        if name not in CHOICES and st.session_state.get(name, was.get(name)) == was.get(name):
            st.session_state[name] = text


def _save(texts: dict[str, str]) -> dict[str, str]:
    """Write every input that differs from its default into the address, and return those."""
    first = inputs.defaults(st.session_state["opt"] or inputs.DEFAULT_OPTIMIZER) | {"opt": inputs.DEFAULT_OPTIMIZER}
    link = {name: text for name, text in texts.items() if text != first[name]}
    address = st.query_params.to_dict()
    if inputs.carried(address) != link:
        others = {name: text for name, text in address.items() if name not in inputs.carried(address)}
        st.query_params.from_dict(others | link)
    st.session_state[KEPT] = Kept({name: st.session_state[name] for name in texts}, link)
    return link
