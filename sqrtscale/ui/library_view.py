"""The library: what is known of an optimizer, a task and a range of kappa from every stored calibration."""

from __future__ import annotations

import math
from dataclasses import replace

import streamlit as st

from ..evidence import OUTCOMES
from ..report import catch_up, library
from ..rules import FAMILIES
from ..store import Filter, Store
from ..store.records import IMPORTED
from ..tasks import title_of, without_version
from ..tasks.own import VERSION
from . import browse, filters, library_charts, live_plot
from .tables import greek

MOST = 2000  # calibrations that are looked at, newest first


def show(store: Store) -> None:
    """Filters, the answer in words, the figure, and the rows that stand behind it."""
    filters.fill("Library")
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    with bar:
        optimizers = st.multiselect("Optimizer", FAMILIES, key="optimizers", placeholder="any",
                                    format_func=lambda name: FAMILIES[name].label)
        tasks = st.multiselect("Task", _tasks(store), key="tasks", placeholder="any", format_func=_title)
        tags = browse.tag_choice(store)
        with st.container(horizontal=True, width="content"):
            low, high = (st.number_input(label, min_value=0.0, value=None, step=1.0, format="%g", key=key, placeholder="any",
                                         width=120) for label, key in (("κ from", "kappa_from"), ("κ to", "kappa_to")))
    chosen = Filter(optimizers=tuple(optimizers), tasks=tuple(tasks), tags=tags, kappa=(low or 0.0, high or math.inf))
    address = filters.save("Library", chosen)
    with bar:
        browse.saved(store, address)
    chosen = replace(chosen, outcomes=OUTCOMES, states=("DONE",))  # what was broken off is no evidence
    behind = catch_up(store, browse.CATCH_UP) > 0
    calibrations = store.summaries(replace(chosen, limit=MOST))
    total = store.count(chosen) if len(calibrations) == MOST else None
    st.markdown(f"**{greek(library.sentence(calibrations, total))}**")
    if not calibrations and not behind:
        st.page_link("pages/calibrate.py", label="Run one", icon=":material/science:")
        return
    places = library.places(calibrations)
    if places:
        live_plot.show(library_charts.verdicts(places), key="library", alt=_words(len(calibrations), len(places)), file="library")
    browse.rows(store, chosen, key="library rows", behind=behind)


def _tasks(store: Store) -> list[str]:
    """What there is to choose from: the built-in tasks, imported runs, and the users' own, also one of a link that is gone."""
    named = [row.task for row in store.summaries(Filter(text=VERSION, limit=MOST))]  # that have it anywhere
    own = sorted({without_version(task) + VERSION for task in named if VERSION in task})
    return list(dict.fromkeys([*filters.KNOWN["tasks"], *own, *st.session_state["tasks"]]))


def _title(name: str) -> str:
    """What it is called."""
    return name.capitalize() if name == IMPORTED else title_of(name)


def _words(calibrations: int, places: int) -> str:
    """What the figure shows, and what is not in it."""
    text = ("A mark for every calibration. The rule is made for batches well below the noise scale: the deeper a mark lies, the "
            "more noise dominates.")
    if not (missing := calibrations - places):
        return text
    return f"{text} {missing:,} without a measured noise scale {'is' if missing == 1 else 'are'} not shown."
