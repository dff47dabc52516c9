"""The form of the Scale page. What is typed stands in the URL, so the address is the share link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..rules import DECAY_FORMS, FAMILIES, MOMENTUM_FORMS, RUN_FIELDS, Family, FieldError, family
from ..rules.kind import Momentum
from ..rules.run_fields import REDUCTIONS, SCHEDULES
from . import inputs, tables
from .inputs import Inputs

MAIN = ("adam", "adamw", "rmsprop")
MORE = "more"  # stands for every other family, chosen by name below it
LABELS = {"batch_size": "Base batch", "target_batch": "Target batch", "groups": "Parameter groups",
          **{name: field.label for name, field in RUN_FIELDS.items()}}
HELP = {
    "batch_size": "Global batch in samples, or in tokens on both sides. Also as per device × accumulation × devices, for "
                  "example 8 x 4 x 16.",
    "target_batch": "The global batch you want to train with, larger or smaller than the base; also as 8 x 4 x 16.",
    "schedule": "A schedule is a function of samples seen: its shape stays.",
    "milestones": "Steps at which lr drops, for example 30000 60000.",
    "gamma_per_step": "The factor of an exponential schedule that is applied at every step.",
    "loss_reduction": "How the training code adds up the losses of a global batch. Nearly all take the mean; with their sum the "
                      "gradient grows with the batch, and eps, clipping and L2 move along.",
    "ema_decay": "Of an average of the weights, for example 0.9999.",
    "groups": "One a line: its name and what it sets itself, for example no decay: weight_decay=0",
}
DECAY_LABELS = {"linear": "Linear", "half-life": "Half-life"}
DECAY_HELP = ("How decays move. Linear is the paper's rule, 1 - κ (1 - β). Half-life is β^κ: it agrees while κ (1 - β) "
              "is small, and has a number for every κ.")
MOMENTUM_LABELS = {"kept": "Kept", "scaled": "Scaled"}
MOMENTUM_HELP = ("The buffer has no factor (1 - momentum). Kept: momentum stays and lr follows the rule. Scaled: momentum moves "
                 "like a decay, and lr by κ more.")
CHOICES = {"opt": tuple(FAMILIES), "form": DECAY_FORMS, "mform": MOMENTUM_FORMS, "schedule": ("", *SCHEDULES),
           "loss_reduction": ("", *REDUCTIONS)}
LENGTHS = ("total_steps", "warmup_steps")
FURTHER = tuple(name for name in RUN_FIELDS if name not in (*LENGTHS, *CHOICES))
PAUSE = "500ms"  # an answer while typing, but not one per keystroke
NARROW = 95  # pixels: three fields beside each other on a telephone
KEPT = "transfer"
REFUSED = "refused choices"


class Kept(NamedTuple):
    """What the last run left behind: the widgets' values, those inputs that went into the address, and the family."""

    values: dict[str, str | None]
    link: dict[str, str]
    optimizer: str | None


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
    given, errors = inputs.read(texts)
    if errors:
        raise next(iter(errors.values()))
    return given


def training_configuration() -> Asked:
    """The form: optimizer, batches, hyperparameters, lengths. Bad input is marked below its field."""
    _load()
    boxes = {"opt": st.container(gap="xxsmall")}
    optimizer_family = _optimizer(boxes["opt"])
    rest = [name for name in optimizer_family.fields if name not in ("lr", "weight_decay")]
    rate = ["lr"] + ["weight_decay"] * ("weight_decay" in optimizer_family.fields)
    for names in (["batch_size", "target_batch"], rate, rest):
        boxes |= _texts(names, optimizer_family, len(names))
    default_texts = inputs.defaults(optimizer_family.name)
    with st.expander("Schedule and decay form",
                     expanded=_differs(("steps", "warmup", "schedule", "form", "mform"), default_texts)):
        boxes |= _texts(LENGTHS, optimizer_family, 2)
        boxes["schedule"] = _choice("schedule")
        boxes["form"] = st.container(gap="xxsmall")
        boxes["form"].segmented_control("Decay form", DECAY_FORMS, required=True, key="form", help=DECAY_HELP,
                                        format_func=DECAY_LABELS.__getitem__)
        if any(isinstance(field.kind, Momentum) for field in optimizer_family.fields.values()):
            boxes["mform"] = st.container(gap="xxsmall")
            boxes["mform"].segmented_control("Momentum", MOMENTUM_FORMS, required=True, key="mform", help=MOMENTUM_HELP,
                                             format_func=MOMENTUM_LABELS.__getitem__)
    with st.expander("Intervals, averaging, clipping, groups",
                     expanded=_differs((*map(inputs.key, FURTHER), "loss_reduction", "groups"), default_texts)):
        boxes |= _texts(FURTHER, optimizer_family, 2)
        boxes["loss_reduction"] = _choice("loss_reduction")
        boxes["groups"] = st.container(gap="xxsmall")
        boxes["groups"].text_area(LABELS["groups"], key="groups", help=HELP["groups"], placeholder="optional", height=80)
    texts = {name: st.session_state[name] for name in boxes} | {"opt": _chosen_optimizer()}
    texts["corr"] = inputs.ON if st.session_state.get("corr") else inputs.OFF  # its switch stands beside the answer
    texts |= {name: text for name, text in st.session_state[REFUSED].items() if texts.get(name, '') is None}
    given, errors = inputs.read(texts)
    for name, error in errors.items():
        mark(boxes[name], error)
    return Asked(given, tuple(errors.values()), _save(texts))


def mark(box: DeltaGenerator, error: FieldError) -> None:
    """What to do about a field, below it."""
    advice = error.allowed.split(": ", 1)[-1]
    box.markdown(f":small[:red[{tables.escaped(advice[0].upper() + advice[1:])}]]")


def _optimizer(box: DeltaGenerator) -> Family:
    """The three that most people use, and every other by name."""
    box.segmented_control("Optimizer", (*MAIN, MORE), required=True, key="opt", width="stretch", on_change=_take_defaults,
                          format_func=lambda name: "Other" if name == MORE else family(name).label)
    if st.session_state["opt"] == MORE:
        others = [name for name in FAMILIES if name not in MAIN]
        box.selectbox("Optimizer and library", others, key="other", on_change=_take_defaults,
                      format_func=lambda name: family(name).label)
    return family(_chosen_optimizer() or inputs.DEFAULT_OPTIMIZER)


def _chosen_optimizer() -> str | None:
    """The family that the two optimizer widgets name together."""
    chosen: str | None = st.session_state["other"] if st.session_state["opt"] == MORE else st.session_state["opt"]
    return chosen


def _texts(names: Sequence[str], optimizer_family: Family, columns: int) -> dict[str, DeltaGenerator]:
    """A box with a text input for each name, by its key."""
    grid = st.grid(columns, min_column_width=NARROW)
    return {inputs.key(name): _text(name, LABELS.get(name) or optimizer_family.fields[name].label, grid,
                                    "optional" if name in RUN_FIELDS else None) for name in names}


def _choice(name: str) -> DeltaGenerator:
    """A box with a choice among names, or none of them."""
    box = st.container(gap="xxsmall")
    box.selectbox(LABELS[name], CHOICES[name], key=name, format_func=lambda chosen: chosen or "—", help=HELP[name])
    return box


def _differs(keys: Iterable[str], default_texts: Mapping[str, str]) -> bool:
    """True where one of these inputs is not at its default, so that nobody misses it in a closed box."""
    return any(st.session_state.get(name, default_texts[name]) not in (default_texts[name], None) for name in keys)


def use_half_life() -> None:
    """Callback of the button that stands beside a decay without a number."""
    st.session_state["form"] = "half-life"


def _text(name: str, label: str, grid: DeltaGenerator, placeholder: str | None) -> DeltaGenerator:
    box = grid.container(gap="xxsmall")
    box.text_input(label, key=inputs.key(name), live=PAUSE, max_chars=inputs.longest(name), help=HELP.get(name),
                   placeholder=placeholder)
    return box


def _load() -> None:
    """Fill the widgets from the address or from what was typed before, when either is new to them."""
    kept = st.session_state.get(KEPT, Kept({}, {}, None))
    address = inputs.carried(st.query_params.to_dict())
    if "opt" not in st.session_state:  # opened by a link, or again after another page
        _fill(address or kept.link)
    elif address != kept.link and all(st.session_state.get(name) == was for name, was in kept.values.items()):
        _fill(address)  # the address changed and no input did: Back or Forward


def _fill(texts: dict[str, str]) -> None:
    """Put texts into the widgets; a choice that does not exist selects nothing and is remembered as refused."""
    refused: dict[str, str] = {}
    chosen: dict[str, str | None] = {}
    for name, known in CHOICES.items():
        wanted = texts.get(name, inputs.defaults(inputs.DEFAULT_OPTIMIZER)[name])
        chosen[name] = wanted.lower() if wanted.lower() in known else None
        if chosen[name] is None:
            refused[name] = wanted
    for name, text in inputs.defaults(chosen["opt"] or inputs.DEFAULT_OPTIMIZER).items():
        # One character more than there may be, so that what is too long is refused and not read as something shorter.
        st.session_state[name] = chosen[name] if name in chosen else texts.get(name, text)[:inputs.longest(name) + 1]
    if chosen["opt"] not in (*MAIN, None):
        st.session_state["opt"], st.session_state["other"] = MORE, chosen["opt"]
    st.session_state["corr"] = texts.get("corr") == inputs.ON
    st.session_state[REFUSED] = refused


def fill(given: Inputs, base_batch: str) -> None:
    """Callback: put a whole configuration into the form, the base batch as that text (its parts, if known)."""
    _fill(inputs.texts_of(given) | {"b0": base_batch})


def typed(name: str) -> str:
    """What stands in a field of the form, by its key."""
    return st.session_state.get(name) or ""


def _take_defaults() -> None:
    """Another optimizer: what still stands at the old one's default goes to the new one's; what was typed stays."""
    st.session_state.setdefault("other", next(name for name in FAMILIES if name not in MAIN))
    old = inputs.defaults(st.session_state[KEPT].optimizer or inputs.DEFAULT_OPTIMIZER)
    for name, text in inputs.defaults(_chosen_optimizer() or inputs.DEFAULT_OPTIMIZER).items():
        if name not in CHOICES and st.session_state.get(name, old.get(name)) == old.get(name):
            st.session_state[name] = text


def _save(texts: dict[str, str]) -> dict[str, str]:
    """Write every input that differs from its default into the address, and return those."""
    optimizer = _chosen_optimizer()
    default_texts = inputs.defaults(optimizer or inputs.DEFAULT_OPTIMIZER) | {"opt": inputs.DEFAULT_OPTIMIZER}
    link = {name: text for name, text in texts.items() if text != default_texts[name]}
    address = st.query_params.to_dict()
    if inputs.carried(address) != link:
        others = {name: text for name, text in address.items() if name not in inputs.carried(address)}
        st.query_params.from_dict(others | link)
    values = {name: st.session_state.get(name) for name in texts} | {"other": st.session_state.get("other")}
    st.session_state[KEPT] = Kept(values, link, optimizer)
    return link
