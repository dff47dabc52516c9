"""The form of the Scale page. What is typed stands in the URL, so the address is the share link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..rules import DECAY_FORMS, FAMILIES, MOMENTUM_FORMS, RUN_FIELDS, Family, FieldError, family
from ..rules.kind import Momentum
from ..rules.run_fields import REDUCTIONS, SCHEDULES
from . import inputs, tables
from .inputs import Inputs
from .state import put, went_back

MAIN = ("adam", "adamw", "rmsprop")
MORE = "more"  # stands for every other family, chosen by name below it
LABELS = {"batch_size": "Base batch", "target_batch": "Target batch", "groups": "Parameter groups", "optimizer": "Optimizer",
          "decay_form": "Decay form", "momentum_form": "Momentum", "noise_scale": "Noise scale",
          **{name: field.label for name, field in RUN_FIELDS.items()}}
HELP = {
    "batch_size": "Global batch in samples, or in tokens on both sides. Also as per device × accumulation × devices, for "
                  "example 8 x 4 x 16.",
    "target_batch": "The global batch you want to train with, larger or smaller than the base; also as 8 x 4 x 16.",
    "noise_scale": "The gradient noise scale tr Σ / |G|² in samples (McCandlish et al. 2018): the batch at which the mean "
                   "gradient and its noise weigh the same. A calibration measures it. For batches far below it the square-root "
                   "rule is right, near it and above the noise-aware transfer.",
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
    """What the last run left behind: those inputs that went into the address, and the family.

    typed: what was typed for families that were chosen before, so that it is there when they are chosen again.
    """

    link: dict[str, str]
    optimizer: str | None
    typed: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    """What the form says: inputs or, where there are none, labels of what is wrong; and the link that says the same."""

    inputs: Inputs | None
    wrong: tuple[str, ...]
    link: dict[str, str]


def current() -> Inputs | None:
    """The one configuration of all pages: the address's, else what was typed on Scale last; None where nothing was typed.

    Raises FieldError with one readable sentence for texts that do not make a configuration.
    """
    address = inputs.carried(st.query_params.to_dict())
    texts = address or _kept().link
    if not texts:
        return None
    given, errors = inputs.read(texts)
    if given is None:
        raise next(iter(errors.values()))
    if address:
        keep(address)
    return given


def typed_address() -> dict[str, str]:
    """The inputs that were typed on Scale and differ from its defaults, as its address has them."""
    return dict(_kept().link)


def keep(texts: dict[str, str]) -> None:
    """Make these the current configuration; what was typed stays as it was typed where it says the same."""
    if inputs.read(_kept().link)[0] != inputs.read(texts)[0]:
        st.session_state[KEPT] = Kept(texts, None)


def _kept() -> Kept:
    kept: Kept = st.session_state.get(KEPT, Kept({}, None))
    return kept


def training_configuration() -> Asked:
    """The form: optimizer, batches, hyperparameters, lengths. Bad input is marked below its field."""
    _load()
    boxes = {"opt": st.container(gap="xxsmall")}
    optimizer_family = _optimizer(boxes["opt"])
    rest = [name for name in optimizer_family.fields if name not in ("lr", "weight_decay")]
    rate = ["lr"] + ["weight_decay"] * ("weight_decay" in optimizer_family.fields)
    for names in (["batch_size", "target_batch"], rate, rest, ["noise_scale"]):
        boxes |= _texts(names, optimizer_family, len(names))
    default_texts = inputs.defaults(optimizer_family.name)
    with st.expander("Schedule and decay form",
                     expanded=_differs(("steps", "warmup", "schedule", "form", "mform"), default_texts)):
        boxes |= _texts(LENGTHS, optimizer_family, 2)
        boxes["schedule"] = _choice("schedule")
        boxes["form"] = st.container(gap="xxsmall")
        boxes["form"].segmented_control(LABELS["decay_form"], DECAY_FORMS, required=True, key="form", help=DECAY_HELP,
                                        format_func=DECAY_LABELS.__getitem__)
        if any(isinstance(field.kind, Momentum) for field in optimizer_family.fields.values()):
            boxes["mform"] = st.container(gap="xxsmall")
            boxes["mform"].segmented_control(LABELS["momentum_form"], MOMENTUM_FORMS, required=True, key="mform",
                                             help=MOMENTUM_HELP, format_func=MOMENTUM_LABELS.__getitem__)
    with st.expander("Intervals, averaging, clipping, groups",
                     expanded=_differs((*map(inputs.key, FURTHER), "loss_reduction", "groups"), default_texts)):
        boxes |= _texts(FURTHER, optimizer_family, 2)
        boxes["loss_reduction"] = _choice("loss_reduction")
        boxes["groups"] = st.container(gap="xxsmall")
        boxes["groups"].text_area(LABELS["groups"], key="groups", help=HELP["groups"], placeholder="optional", height=80)
    texts = {name: st.session_state[name] for name in boxes} | {"opt": _chosen_optimizer()}
    texts["corr"] = inputs.ON if st.session_state.get("corr") else inputs.OFF  # its switch stands beside the answer
    _say_refused(boxes, texts)
    given, errors = inputs.read(texts)
    for name, error in errors.items():
        mark(boxes[name], error)
    return Asked(given, tuple(_label(name, optimizer_family) for name in errors), _save(texts))


def mark(box: DeltaGenerator, error: FieldError) -> None:
    """What is wrong with a field and what to do about it, below it; nothing else on the page repeats that."""
    box.markdown(f":small[:red[{tables.sentence(str(error))}]]")


def marked(labels: Sequence[str]) -> str:
    """In place of an answer: which fields are marked."""
    return f"What is wrong stands below {tables.escaped(' and below '.join(labels))}."


def _say_refused(boxes: Mapping[str, DeltaGenerator], texts: Mapping[str, str | None]) -> None:
    """Which choice of the address there is none of, below what is taken in its place; until another one is made."""
    default_texts = inputs.defaults(inputs.DEFAULT_OPTIMIZER)
    for name, wanted in tuple(st.session_state[REFUSED].items()):
        if name in boxes and texts[name] == default_texts[name]:
            taken = _choice_label(name, default_texts[name])
            _, errors = inputs.read({name: wanted})
            boxes[name].markdown(f":small[:material/info: {tables.sentence(f'{errors[name]}. Taken instead: {taken}.')}]")
        elif name in boxes:
            del st.session_state[REFUSED][name]


def _choice_label(name: str, chosen: str) -> str:
    """What the form calls one of the ``CHOICES``."""
    if name == "opt":
        return family(chosen).label
    return {"form": DECAY_LABELS, "mform": MOMENTUM_LABELS}.get(name, {}).get(chosen) or chosen or "none"


def _label(key: str, optimizer_family: Family) -> str:
    """What the form calls a field, by its key."""
    name = inputs.FIELDS.get(key, key)
    return LABELS.get(name) or optimizer_family.fields[name].label


def _optimizer(box: DeltaGenerator) -> Family:
    """The three that most people use, and every other by name."""
    box.segmented_control(LABELS["optimizer"], (*MAIN, MORE), required=True, key="opt", width="stretch", on_change=_take_defaults,
                          format_func=lambda name: "Other" if name == MORE else family(name).label)
    if st.session_state["opt"] == MORE:
        others = [name for name in FAMILIES if name not in MAIN]
        box.selectbox("Optimizer and library", others, key="other", on_change=_take_defaults,
                      format_func=lambda name: family(name).label)
    return family(_chosen_optimizer() or inputs.DEFAULT_OPTIMIZER)


def _chosen_optimizer() -> str | None:
    """The family that the two optimizer widgets name together."""
    chosen: str | None = st.session_state.get("opt")
    return st.session_state.get("other") if chosen == MORE else chosen


def _texts(names: Sequence[str], optimizer_family: Family, columns: int) -> dict[str, DeltaGenerator]:
    """A box with a text input for each name, by its key."""
    grid = st.grid(columns, min_column_width=NARROW)
    return {inputs.key(name): _text(name, LABELS.get(name) or optimizer_family.fields[name].label, grid,
                                    "optional" if name in (*RUN_FIELDS, "noise_scale") else None) for name in names}


def _choice(name: str) -> DeltaGenerator:
    """A box with a choice among names, or none of them."""
    box = st.container(gap="xxsmall")
    box.selectbox(LABELS[name], CHOICES[name], key=name, format_func=lambda chosen: chosen or "—", help=HELP[name])
    return box


def _differs(keys: Iterable[str], default_texts: Mapping[str, str]) -> bool:
    """True where one of these inputs is not at its default, or the address asked for another, so that nobody misses it."""
    return any(name in st.session_state[REFUSED] or st.session_state.get(name, default_texts[name]) != default_texts[name]
               for name in keys)


def use_half_life() -> None:
    """Callback of the button that stands beside a decay without a number."""
    put({"form": "half-life"})


def _text(name: str, label: str, grid: DeltaGenerator, placeholder: str | None) -> DeltaGenerator:
    box = grid.container(gap="xxsmall")
    box.text_input(label, key=inputs.key(name), live=PAUSE, max_chars=inputs.longest(name), help=HELP.get(name),
                   placeholder=placeholder)
    return box


def _load() -> None:
    """Fill the widgets from the address or from what was typed before, when either is new to them."""
    kept = _kept()
    address = inputs.carried(st.query_params.to_dict())
    # Opened by a link, or again after another page; or a run that was broken off has left the browser without its values.
    if st.session_state.get("opt") is None:
        _fill(address or kept.link, {} if address else kept.typed)
    elif address != kept.link and went_back():
        _fill(address)
    else:  # such a run may also have kept some of them
        for name, text in _before().items():
            st.session_state.setdefault(name, text)


def _before() -> dict[str, str]:
    """What every text and name of the chosen family was last: by the address, else by the last run."""
    texts = inputs.carried(st.query_params.to_dict()) or _kept().link
    return {name: texts[name] if name in texts and texts[name] in CHOICES.get(name, texts.values()) else default
            for name, default in _texts_by_default(_chosen_optimizer())}


def _fill(texts: dict[str, str], typed: Mapping[str, str] = MappingProxyType({})) -> None:
    """Put texts into the widgets; in place of a choice that does not exist its default, and it is remembered as refused.

    typed: what other families than the texts' have to remember.
    """
    st.session_state[KEPT] = _kept()._replace(typed=typed)
    refused: dict[str, str] = {}
    chosen: dict[str, str] = {}
    for name, known in CHOICES.items():
        default = inputs.defaults(inputs.DEFAULT_OPTIMIZER)[name]
        wanted = texts.get(name, default)
        chosen[name] = wanted.lower() if wanted.lower() in known else default
        if wanted.lower() not in known:
            refused[name] = wanted
    # One character more than there may be, so that what is too long is refused and not read as something shorter.
    values = {name: chosen[name] if name in chosen else texts.get(name, text)[:inputs.longest(name) + 1]
              for name, text in inputs.defaults(chosen["opt"]).items()}
    others = {"opt": MORE, "other": chosen["opt"]} if chosen["opt"] not in MAIN else {}
    st.session_state[REFUSED] = refused  # first: the rest says that all is there
    put({**values, **others, "corr": texts.get("corr") == inputs.ON})


def fill(given: Inputs, base_batch: str) -> None:
    """Callback: put a whole configuration into the form, the base batch as that text (its parts, if known)."""
    _fill(inputs.texts_of(given) | {"b0": base_batch})


def typed(name: str) -> str:
    """What stands in a field of the form, by its key; where a run that was broken off has lost that, what stood there before."""
    lost = st.session_state.get("opt") is None or st.session_state.get(name) is None
    text: str = _before()[name] if lost else st.session_state[name]
    return text


def _take_defaults() -> None:
    """Another optimizer: what still stands at the old one's default goes to the new one's; what was typed stays or returns."""
    st.session_state.setdefault("other", next(name for name in FAMILIES if name not in MAIN))
    kept, state = _kept(), st.session_state
    typed = dict(kept.typed)
    for name, default in _texts_by_default(kept.optimizer):
        if state.get(name) not in (None, default):
            typed[name] = state[name]
        elif state.get(name) == default != typed.get(name):
            typed.pop(name, None)  # put back to the default since
    put({name: typed.get(name, default) for name, default in _texts_by_default(_chosen_optimizer())})
    state[KEPT] = kept._replace(typed=typed)


def _texts_by_default(optimizer: str | None) -> list[tuple[str, str]]:
    """(key, default) of every input of a family that is a text or a name."""
    return [(name, text) for name, text in inputs.defaults(optimizer or inputs.DEFAULT_OPTIMIZER).items()
            if name not in ("opt", "corr")]


def _save(texts: dict[str, str]) -> dict[str, str]:
    """Write every input that differs from its default into the address, and return those."""
    optimizer = _chosen_optimizer()
    default_texts = inputs.defaults(optimizer or inputs.DEFAULT_OPTIMIZER) | {"opt": inputs.DEFAULT_OPTIMIZER}
    link = {name: text for name, text in texts.items() if text != default_texts[name]}
    address = st.query_params.to_dict()
    if inputs.carried(address) != link:
        others = {name: text for name, text in address.items() if name not in inputs.carried(address)}
        st.query_params.from_dict(others | link)
    st.session_state[KEPT] = Kept(link, optimizer, _kept().typed)
    return link
