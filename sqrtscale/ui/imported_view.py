"""One imported comparison: runs that were trained elsewhere, judged like a calibration."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from ..report import files, how_to_repeat, judge_command
from ..store import DamagedChunk, ImportedRecord, Store
from . import compare_link, curve_view, judge_view, notes, runs, stored, verdict_view
from .inputs import format_number
from .tables import escaped, greek


def show(store: Store, record: ImportedRecord) -> None:
    """Everything about it: the verdict, the curves, where they came from."""
    _heading(store, record)
    curve_view.open_view(record)
    version = store.curves_version(record.id)
    try:
        points = curve_view.curves(store, record.id, version)
    except DamagedChunk as error:
        st.error(escaped(str(error)), title="The curves cannot be read")
    else:
        _results(store, record, points, version)
    with st.expander("Where the curves came from"):
        _origin(record)
    with st.expander("Runs"):
        runs.runs_table(record)
    with st.expander("Note and name"):
        notes.show(store, record)
    with st.expander("How to repeat it"):
        st.caption(how_to_repeat(record))
        st.code(judge_command(record.plan), language="bash")
    stored.take_away(store, record)


def _heading(store: Store, record: ImportedRecord) -> None:
    plan = record.plan
    st.title(escaped(record.title), anchor=False)
    st.caption(escaped(f"{plan.metric}, batch {plan.base_batch} → {plan.target_batch} "
                       f"(κ = {format_number(plan.target_batch / plan.base_batch)}), {len(plan.runs)} runs that were trained "
                       f"elsewhere, {'paired by seed' if plan.paired else 'not paired'} · {record.created_at:%Y-%m-%d %H:%M} UTC "
                       "· ") + f"`{record.id}`")
    stored.tags_and_bin(store, record)


def _results(store: Store, record: ImportedRecord, points: pd.DataFrame, version: str) -> None:
    measured = verdict_view.measured(record, points, record.id, version)
    judgement = verdict_view.judge(store, record, points, version, measured)
    if judgement:
        verdict_view.answer(record, judgement)
        st.markdown(greek("\n\n".join(judgement.caveats)))
    with st.container(horizontal=True):
        if st.button("Compare with others", icon=":material/compare_arrows:"):
            st.switch_page(compare_link.PAGE, query_params={"ids": record.id})
        if st.button("Judge other logs", icon=":material/upload_file:"):
            judge_view.put_aside()
            st.switch_page("pages/judge.py")
    curve_view.show(record, points)
    if judgement:
        verdict_view.details(record, judgement, measured)


def _origin(record: ImportedRecord) -> None:
    """What was answered, what was done to the curves, and the files."""
    plan = record.plan
    said = [f"The logs count {plan.axis}.", *record.environment.get("notes", [])]
    st.markdown("\n".join(f"- {escaped(sentence)}" for sentence in said))
    table = files(plan)
    st.dataframe(pd.DataFrame(table.rows, columns=list(table.heads)), hide_index=True, width="stretch",
                 alt="Files that the runs were read from")
