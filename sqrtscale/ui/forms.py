"""The form of the Scale page. What is typed stands in the URL, so the address is the share link."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from ..rules import DECAY_FORMS, FAMILIES, FieldError, family
from . import inputs
from .inputs import Inputs

LABELS = {"batch_size": "Base batch", "target_batch": "Target batch", "total_steps": "Total steps",
          "warmup_steps": "Warm-up steps"}
HELP = {
    "batch_size": "Global batch in samples: per device × accumulation × devices.",
    "target_batch": "The global batch you want to train with, larger or smaller than the base.",
}
DECAY_LABELS = {"linear": "Linear", "half-life": "Half-life"}
DECAY_HELP = ("How the betas move. Linear is the paper's rule, 1 − κ(1 − β). Half-life is β^κ: it agrees while κ(1 − β) "
              "is small, and has a number for every κ.")
CHOICES = {"opt": tuple(FAMILIES), "form": DECAY_FORMS}
SHORT = 40  # characters: longer than any number with all its digits
PAUSE = "500ms"  # an answer while typing, but not one per keystroke
KEPT = "transfer"


class Kept(NamedTuple):
    """What the last run left behind: the inputs as text, and those of them that went into the address."""

    texts: dict[str, str]
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
    refused = _load()
    boxes = {"opt": st.container(gap="xxsmall")}
    boxes["opt"].segmented_control("Optimizer", CHOICES["opt"], required=True, key="opt", width="stretch",
                                   format_func=lambda name: family(name).label, on_change=_take_defaults)
    kin = family(st.session_state["opt"] or inputs.DEFAULT_OPTIMIZER)
    names = ["batch_size", "target_batch", *kin.fields]
    for pair in (names[i : i + 2] for i in range(0, len(names), 2)):
        for name, place in zip(pair, st.columns(2, gap="small"), strict=False):
            boxes[inputs.key(name)] = _text(name, LABELS.get(name) or kin.fields[name].label, place)
    unfold = any(st.session_state[name] for name in ("steps", "warmup")) or st.session_state["form"] != DECAY_FORMS[0]
    with st.expander("Schedule and decay form", expanded=unfold):
        for name, place in zip(("total_steps", "warmup_steps"), st.columns(2, gap="small"), strict=True):
            boxes[inputs.key(name)] = _text(name, LABELS[name], place, placeholder="optional")
        boxes["form"] = st.container(gap="xxsmall")
        boxes["form"].segmented_control("Decay form", DECAY_FORMS, required=True, key="form", help=DECAY_HELP,
                                        format_func=DECAY_LABELS.get)
    texts = {name: st.session_state[name] for name in boxes} | refused
    found, errors = inputs.read(texts)
    for name, error in errors.items():
        boxes[name].caption(f":red[{error.allowed}]")
    return Asked(found, tuple(errors.values()), _save(texts))


def use_half_life() -> None:
    """Callback of the button that stands beside a decay without a number."""
    st.session_state["form"] = "half-life"


def _text(name, label, place, **options):
    box = place.container(gap="xxsmall")
    box.text_input(label, key=inputs.key(name), live=PAUSE, max_chars=SHORT, help=HELP.get(name), **options)
    return box


def _load() -> dict[str, str]:
    """Fill the widgets: from the address, from what was typed before, or from the defaults.

    Returns the choices that the address names and that do not exist; they stay until another is made.
    """
    kept = st.session_state.get(KEPT, Kept({}, {}))
    address = inputs.carried(st.query_params.to_dict())
    if "opt" not in st.session_state:  # opened by a link, or again after another page
        _fill(address or kept.texts)
    elif address != kept.link and all(st.session_state.get(name) == text for name, text in kept.texts.items()):
        _fill(address)  # the address changed and no input did: Back or Forward
    else:
        _fill({name: st.session_state[name] for name in inputs.defaults(inputs.DEFAULT_OPTIMIZER)})
    return {}


def _fill(texts): ...


def _take_defaults(): ...
def _save(texts): ...
