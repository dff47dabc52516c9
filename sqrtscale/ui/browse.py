"""Stored calibrations: the list with its filters, and what can be done with rows that are ticked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from .. import runner
from ..evidence import OUTCOMES
from ..report import catch_up
from ..rules import FieldError
from ..store import FINAL_STATES, ORDERS, STATES, CalibrationSummary, Filter, Store, tags
from . import compare_link, filters, runs
from .tables import escaped

LOOK_EVERY = 4.0
CATCH_UP = 0.3  # seconds of a look that go into judging what was not judged as today
ORDER_WORDS = {"newest": "newest first", "oldest": "oldest first", "name": "by name", "kappa": "largest κ first",
               "lr": "largest lr first", "difference": "largest difference first", "noise scale": "largest noise scale first"}
UNDO = "what can be undone"  # (what was done, ids)
PROBLEM = "what went wrong"


def nothing_yet() -> None:
    """What a newcomer reads: what will stand here, and how to make it."""
    st.title("Nothing stored yet", anchor=False)
    st.markdown("A calibration trains the base and the scaled configuration side by side on real data. It takes a few "
                "minutes, and its curves stay here.")
    st.page_link("pages/calibrate.py", label="**Run the first calibration**", icon=":material/science:")
    st.page_link("pages/judge.py", label="You have curves already? Judge them", icon=":material/upload_file:")
    st.page_link("pages/scale.py", label="Or scale a configuration first", icon=":material/calculate:")


def show(store: Store) -> None:
    """Search and filters, and the list; opens the row that the user chooses."""
    filters.fill("List")
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    with bar:
        text = st.text_input("Search", key="text", max_chars=filters.LONGEST_TEXT,
                             placeholder="name, note, task, optimizer, verdict, tag or id")
        order = st.selectbox("Sort", ORDERS, key="order", width=230, format_func=lambda name: ORDER_WORDS[name].capitalize())
        chosen = _filter(store, text, order)
    address = filters.save("List", chosen)
    with bar:
        saved(store, address)
    rows(store, chosen, key="list", behind=catch_up(store, CATCH_UP) > 0)


def _filter(store: Store, text: str, order: str) -> Filter:
    """The choices that are made less often, folded; the button counts those that are made."""
    made = sum(map(bool, (st.session_state[name] for name in ("states", "outcomes", "tags", "deleted"))))
    with st.popover(f"Filter ({made})" if made else "Filter", icon=":material/filter_list:", key="filter"):
        outcomes = st.multiselect("Verdict", OUTCOMES, key="outcomes", placeholder="any")
        states = st.multiselect("State", STATES, key="states", placeholder="any")
        chosen = tag_choice(store)
        deleted = st.toggle("Deleted", key="deleted")
    return Filter(text.strip(), tuple(states), tuple(outcomes), chosen, deleted=deleted, order=order)


def tag_choice(store: Store) -> tuple[str, ...]:
    """Tags that a calibration must have, also those of a link that hang nowhere any more."""
    options = dict.fromkeys([*store.tags(), *st.session_state["tags"]])
    return tuple(st.multiselect("Tags", options, key="tags", placeholder="any" if options else "none yet: tick rows, then Tag",
                                max_selections=filters.MOST))


def saved(store: Store, address: filters.Address) -> None:
    """Filters that were given a name, for everybody who uses this store: take one, forget one, keep the present one; clear it."""
    chosen = any(name != "view" for name in address)
    with st.popover("Saved filters", icon=":material/bookmark:", key="saved"):
        for name, query in store.saved_filters().items():
            with st.container(horizontal=True, vertical_alignment="center", key=f"saved-{name}"):
                st.button(escaped(name), key=f"take-{name}", on_click=filters.ask, args=(filters.parsed(query),), width="stretch")
                st.button("Forget", key=f"forget-{name}", icon=":material/delete:", type="tertiary",
                          on_click=store.remove_filter, args=(name,))
        st.text_input("Name of the present filter", key="filter name", max_chars=60)
        st.button("Save", icon=":material/bookmark_add:", on_click=_keep, args=(store, filters.text_of(address)),
                  disabled=not chosen, help=None if chosen else "Choose a filter first")
        _say_problem()
    if chosen:
        view = {name: value for name, value in address.items() if name == "view"}
        st.button("Clear", type="tertiary", on_click=filters.ask, args=(view,), help="No filter")


def _keep(store: Store, query: str) -> None:
    try:
        store.save_filter(st.session_state["filter name"], query)
    except FieldError as error:
        st.session_state[PROBLEM] = str(error)
    else:
        st.session_state["filter name"] = ""


def _say_problem() -> None:
    if problem := st.session_state.pop(PROBLEM, ""):
        st.error(escaped(problem))


def rows(store: Store, chosen: Filter, key: str, behind: bool) -> None:
    """The rows that the filter lets through, with what can be done with them; follows those that still run.

    behind: some still wait for a verdict. They are judged here, and at the end the whole page is drawn once more.
    """
    active = bool(store.queue())

    @st.fragment(run_every=LOOK_EVERY if active or behind else None, key=key)
    def look() -> None:
        if active:
            runner.reconcile(store)
        waiting = catch_up(store, CATCH_UP) if behind else 0
        _listed(store, chosen, key, waiting)
        if st.session_state.pop("store changed", False) or (behind and not waiting):  # at the end: a click in this run counts
            st.rerun()  # tags to choose from stand outside, and what the library says

    look()


def _listed(store: Store, chosen: Filter, key: str, waiting: int) -> None:
    """The rows and their buttons; waiting: how many have no verdict yet."""
    summaries = store.summaries(chosen)
    _undo(store)
    if not summaries:
        st.info(_being_judged(waiting) if waiting else _no_match(chosen))
        return
    bar = st.container(horizontal=True, vertical_alignment="center", key="actions")
    st.caption(" ".join(filter(None, [_count(store, chosen, len(summaries)), _being_judged(waiting)])))
    # A key for each search: a table that is given other rows forgets a click that comes at once.
    table = runs.calibrations_table(summaries, key=f"{key}-{filters.text_of(filters.address_of(chosen))}")
    if table.opened:
        _open(table.opened)
    with bar:
        _actions(store, [summary for summary in summaries if summary.id in table.ticked], chosen.deleted)


def _being_judged(waiting: int) -> str:
    """How many have no verdict of today's kind yet; "" where all have."""
    return f"{waiting:,} {'is' if waiting == 1 else 'are'} still to be judged." if waiting else ""


def _count(store: Store, chosen: Filter, shown: int) -> str:
    total = store.count(chosen) if shown == chosen.limit else shown
    many = f"{shown:,} of {total:,} calibrations" if total > shown else f"{shown:,} calibration{'s' * (shown != 1)}"
    return f"{many}, {ORDER_WORDS[chosen.order]}. Click a name to open it; tick rows to compare, tag or delete them."


def _open(id: str) -> None:
    st.session_state.pop(UNDO, None)
    st.switch_page("pages/results.py", query_params={"id": id})


def _actions(store: Store, ticked: Sequence[CalibrationSummary], deleted: bool) -> None:
    """What can be done with the ticked rows (Shift and Space tick by the keyboard, which has no other way to open one).

    Always there, so that the list does not move under the pointer.
    """
    ids = [summary.id for summary in ticked]
    if st.button("Open", icon=":material/open_in_full:", disabled=len(ids) != 1):
        _open(ids[0])
    if st.button("Compare", icon=":material/compare_arrows:", disabled=not 2 <= len(ids) <= compare_link.MOST,
                 help=f"Tick 2 to {compare_link.MOST} rows"):
        st.switch_page(compare_link.PAGE, query_params={"ids": compare_link.BETWEEN_IDS.join(ids)})
    with st.popover("Tag", icon=":material/sell:", disabled=not ids, key="tag"):
        st.text_input("New tag", key="new tag", max_chars=tags.LONGEST)
        if known := list(store.tags()):
            st.pills("Known tags", known, selection_mode="multi", key="known tags")
        with st.container(horizontal=True):
            st.button("Add", on_click=_tag, args=(store, ids, True), key="tag ticked")
            st.button("Take off", on_click=_tag, args=(store, ids, False), key="untag ticked")
        _say_problem()
    if deleted:
        st.button("Restore", icon=":material/undo:", disabled=not ids, on_click=_move, args=(store, ids, False))
    else:
        ended = [summary.id for summary in ticked if summary.state in FINAL_STATES]
        st.button("Delete", icon=":material/delete:", disabled=not ended, on_click=_move, args=(store, ended, True),
                  help="What still runs is left out: cancel it first" if len(ended) < len(ids) else None)


def _tag(store: Store, ids: list[str], add: bool) -> None:
    state = st.session_state
    words = [*filter(None, [state["new tag"].strip()]), *state.get("known tags", [])]
    try:
        if not words:
            raise FieldError("tag", "", "is no tag: type a new one or choose a known one")
        (store.tag if add else store.untag)(ids, *words)
    except FieldError as error:
        state[PROBLEM] = str(error)
    else:
        state["new tag"], state["known tags"], state["store changed"] = "", [], True


def _move(store: Store, ids: list[str], away: bool) -> None:
    (store.delete if away else store.restore)(*ids)
    st.session_state[UNDO] = (away, ids)


def _undo(store: Store) -> None:
    """What was deleted or restored last, and the way back."""
    if UNDO not in st.session_state:
        return
    away, ids = st.session_state[UNDO]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"{len(ids):,} calibration{'s' * (len(ids) != 1)} {'deleted' if away else 'restored'}.", width=300)
        st.button("Undo", key="undo", on_click=_back, args=(store, ids, away))


def _back(store: Store, ids: list[str], away: bool) -> None:
    (store.restore if away else store.delete)(*ids)
    del st.session_state[UNDO]


def _no_match(chosen: Filter) -> str:
    if filters.address_of(replace(chosen, deleted=False, order="newest")):
        return "No calibration fits. Change the search or the filter."
    return "Nothing is deleted." if chosen.deleted else "All calibrations are deleted: Filter, “Deleted” shows them."
