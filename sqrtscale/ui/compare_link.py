"""The address of a comparison: which calibrations, and how they are drawn. No Streamlit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Literal, TypeVar, get_args

from ..report.comparison import AXES, Axis
from ..rules.errors import shown

PAGE = "pages/compare.py"
MOST = 12  # calibrations: more cannot be told apart in one figure
MOST_ARMS = 6  # of each, for the same reason
LONGEST = 2000  # characters of a value that are read
BETWEEN_IDS, BETWEEN_ARMS = ",", ";"

Show = Literal["differences", "curves"]
SHOWS: tuple[Show, ...] = get_args(Show)
Unit = Literal["margins", "metric"]
UNITS: tuple[Unit, ...] = get_args(Unit)
Name = TypeVar("Name", bound=str)
NAMES = ("ids", "show", "axis", "metric", "unit", "arms")


@dataclass(frozen=True)
class View:
    """What a comparison shows.

    metric: "" for the first that all share; unit: of differences, each calibration's own margin or that of the metric; arms: None
    for the usual ones, base and scaled of curves, scaled of differences.
    """

    ids: tuple[str, ...] = ()
    show: Show = "differences"
    axis: Axis = "samples"
    metric: str = ""
    unit: Unit = "margins"
    arms: tuple[str, ...] | None = None


def texts_of(view: View) -> dict[str, str]:
    """The view as an address has it, without what is usual; ``read`` gives the same view back."""
    texts = {"ids": BETWEEN_IDS.join(view.ids), "show": view.show, "axis": view.axis, "metric": view.metric, "unit": view.unit}
    usual = {field.name: field.default for field in fields(View)} | {"ids": ""}
    kept = {name: text for name, text in texts.items() if text != usual[name]}
    return kept if view.arms is None else kept | {"arms": BETWEEN_ARMS.join(view.arms)}


def link(ids: Iterable[str]) -> dict[str, str]:
    """The query of an address that compares these: ``st.page_link(PAGE, query_params=link(ids))``."""
    return texts_of(View(ids=tuple(ids)))


def read(texts: Mapping[str, str]) -> tuple[View, tuple[str, ...]]:
    """The view that an address asks for, and a sentence about each part of it that is not as asked."""
    words: list[str] = []

    def chosen(name: str, known: tuple[Name, ...]) -> Name:
        text = texts.get(name, known[0])
        for choice in known:
            if text == choice:
                return choice
        words.append(f"{name} = {shown(text)} is not known here: it shows {known[0]}. Possible are {', '.join(known)}.")
        return known[0]

    def listed(name: str, between: str, most: int, what: str) -> tuple[str, ...]:
        """The parts of a text, each once; of one that is too long, those at its beginning."""
        parts = tuple(dict.fromkeys(filter(None, map(str.strip, texts.get(name, "")[:LONGEST].split(between)))))
        if len(parts) > most:
            words.append(f"At most {most} {what} are shown at once: these are the first {most} of this address.")
        return parts[:most]

    ids = listed("ids", BETWEEN_IDS, MOST, "calibrations")
    arms = listed("arms", BETWEEN_ARMS, MOST_ARMS, "arms of each calibration") if "arms" in texts else None
    view = View(ids, chosen("show", SHOWS), chosen("axis", AXES), texts.get("metric", "")[:LONGEST],
                chosen("unit", UNITS), arms)
    return view, tuple(words)
