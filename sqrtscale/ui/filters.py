"""The filter of the list and the library as an address has it, and the widgets that hold it.

What an address says is cut and checked as it is read: what does not exist is left out, so that no link breaks a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import parse_qs, urlencode

import streamlit as st

from ..evidence import OUTCOMES
from ..rules import FAMILIES, FieldError
from ..store import ORDERS, STATES, Filter
from ..store import tags as stored_tags
from ..store.records import IMPORTED
from ..store.text import clean
from ..tasks import TASKS
from ..tasks.own import VERSION
from ..tasks.own.file import check_name
from .state import put, went_back

Address = dict[str, list[str]]

VIEWS = ("List", "Library")
KNOWN: dict[str, Iterable[str]] = {"states": STATES, "outcomes": OUTCOMES, "optimizers": FAMILIES, "tasks": (*TASKS, IMPORTED)}
OF_A_VIEW = {"List": ("text", "states", "outcomes", "tags", "deleted", "order"),
             "Library": ("optimizers", "tasks", "tags", "kappa_from", "kappa_to")}
LONGEST_TEXT = 200  # characters that are looked for
MOST = 20  # values of a kind
KEPT = "address of the list"  # as it was written last


def read(address: Mapping[str, Sequence[str]]) -> Filter:
    """The filter that an address says; what is not known is left out, what is too long is cut."""
    kinds = {name: tuple(value for value in known if value in address.get(name, ())) for name, known in KNOWN.items()}
    tags = tuple(dict.fromkeys(tag for tag in map(clean, address.get("tags", ())[:MOST]) if 0 < len(tag) <= stored_tags.LONGEST))
    kinds["tasks"] += tuple(dict.fromkeys(filter(_every_version, address.get("tasks", ())[:MOST])))
    order = _first(address, "order")
    low, high = _kappa(_first(address, "kappa_from")), _kappa(_first(address, "kappa_to"))
    return Filter(_first(address, "text")[:LONGEST_TEXT], tags=tags, kappa=(low or 0.0, high or math.inf),
                  deleted=_first(address, "deleted") == "1", order=order if order in ORDERS else "newest",
                  states=kinds["states"], outcomes=kinds["outcomes"], optimizers=kinds["optimizers"], tasks=kinds["tasks"])


def address_of(chosen: Filter) -> Address:
    """What an address says of a filter: only what differs from none. The inverse of ``read``."""
    low, high = chosen.kappa
    texts = {"text": chosen.text.strip(), "deleted": "1" if chosen.deleted else "",
             "order": "" if chosen.order == "newest" else chosen.order,
             "kappa_from": f"{low:.8g}" if low > 0 else "", "kappa_to": f"{high:.8g}" if high < math.inf else ""}
    lists = {name: list(getattr(chosen, name)) for name in (*KNOWN, "tags")}
    return {name: values for name, values in (lists | {name: [text] for name, text in texts.items() if text}).items() if values}


def _every_version(task: str) -> bool:
    """Whether it stands for every version of a user's own task: ``name@``."""
    with suppress(FieldError):
        return task.endswith(VERSION) and bool(check_name(task.removesuffix(VERSION)))
    return False


def _first(address: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(address.get(name, ())), "")


def _kappa(text: str) -> float | None:
    try:
        value = float(text[:20])
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def current_address() -> Address:
    """All that the address of the page says."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def view() -> str:
    """List or Library: as the address says when it is new, else as the user chose."""
    if _is_new("view"):
        put({"view": VIEWS[st.query_params.get("view") == VIEWS[1].lower()]})
    return st.segmented_control("View", VIEWS, key="view", required=True, label_visibility="collapsed") or VIEWS[0]


def _is_new(widget: str) -> bool:
    """True where a widget has no value yet, or the address has a newer one."""
    return widget not in st.session_state or KEPT not in st.session_state or went_back()


def ask(address: Address) -> None:
    """Callback: another filter, in place of what the widgets hold."""
    st.query_params.from_dict(address)
    st.session_state.pop(KEPT, None)


def fill(view: str) -> None:
    """Put what the address says into the widgets of the view, where they are new or the address is (Back, a link)."""
    new = [*filter(_is_new, OF_A_VIEW[view])]
    if not new:
        return
    chosen = read(current_address())
    low, high = chosen.kappa
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(chosen).items()}
    values |= {"kappa_from": low or None, "kappa_to": high if high < math.inf else None}
    put({name: values[name] for name in new})


def save(view: str, chosen: Filter) -> Address:
    """Make the address say it, and give it; it is where ``All results`` leads back to."""
    address = address_of(chosen) | ({"view": [view.lower()]} if view != VIEWS[0] else {})
    # Also where it says it already: a link from one calibration to the list leaves the id in the browser's address (1.67).
    st.query_params.from_dict(address)
    st.session_state[KEPT] = address
    return address


def way_back() -> Address:
    """The address of the list that was seen last."""
    kept: Address = st.session_state.get(KEPT, {})
    return kept


def text_of(address: Address) -> str:
    """An address as one text, for the store."""
    return urlencode(address, doseq=True)


def parsed(text: str) -> Address:
    """The inverse of ``text_of``."""
    return parse_qs(text)
