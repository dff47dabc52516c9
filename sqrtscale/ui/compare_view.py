"""Calibrations side by side: a line for each, their courses over each other, their configurations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st

from .. import runner
from ..report import REPORTS, Report, comparison
from ..report.comparison import Member, Row
from ..report.comparison_page import cells, comparison_report
from ..report.settings import settings
from ..store import Record, Store
from . import browse, compare_charts, compare_choices, curve_view, live_plot, runs
from .colours import OF_AN_OUTCOME
from .compare_choices import IDS
from .compare_link import MOST, View
from .tables import escaped

AXIS_TITLES = {"samples": "Samples seen", "steps": "Optimizer steps", "epochs": "Epochs"}
MIME = {"html": "text/html", "md": "text/markdown"}
LOOK_EVERY = 4.0


def show(store: Store) -> None:
    """The whole page; it follows calibrations that still run."""
    words = compare_choices.load()
    members, problems = comparison.gather(store, st.session_state[IDS], _member)
    st.session_state[IDS] = [member.record.id for member in members]
    if not _calibrations(store, members):
        browse.nothing_yet()
        return
    for word in (*words, *problems):
        st.warning(escaped(word))
    if not members:
        compare_choices.save(View(), View())
        st.info("Choose two or more calibrations above, or tick rows in Results and compare them from there.")
        st.page_link("pages/results.py", label="Results", icon=":material/arrow_back:")
        st.page_link("pages/judge.py", label="You have curves already? Judge them", icon=":material/upload_file:")
        return
    live = not all(member.record.final for member in members)

    @st.fragment(run_every=LOOK_EVERY if live else None, key="compared-live")
    def look() -> None:
        if live:
            runner.reconcile(store)
        now, _ = comparison.gather(store, st.session_state[IDS], _member)
        if len(now) < len(members) or (live and all(member.record.final for member in now)):
            st.rerun()  # the whole page once more
        _lines(now)
        _figure(now, compare_choices.choose(now))
        _configurations(now)
        with st.container(horizontal=True):
            st.download_button("Download CSV", partial(comparison.csv, now), "comparison.csv", "text/csv", on_click="ignore")
            for kind, write in REPORTS.items():
                st.download_button(f"Report {kind.upper()}", partial(_report, now, write), f"comparison.{kind}", MIME[kind],
                                   on_click="ignore", key=f"compare-{kind}")

    look()


@st.cache_data(max_entries=100, max_size="100MB", show_spinner=False)
def _read(_store: Store, _record: Record, id: str, version: str, state: str) -> Member:
    return comparison.stored_member(_store, _record)


def _member(store: Store, record: Record) -> Member:
    """A calibration with its curves and verdicts, read once for every version of its points."""
    return replace(_read(store, record, record.id, store.curves_version(record.id), record.state), record=record)


def _calibrations(store: Store, members: Sequence[Member]) -> bool:
    """Where calibrations are chosen; False where there are none to choose from."""
    labels = {member.record.id: f"{member.title} (deleted)" if member.record.deleted_at else member.title for member in members}
    labels |= {summary.id: " · ".join(filter(None, [
        summary.title, runs.optimizer(summary), summary.outcome or summary.state.lower(),
        f"{summary.created_at:%m-%d %H:%M}"])) for summary in store.summaries()}
    times = Counter(labels.values())
    labels = {id: f"{label} · {id}" if times[label] > 1 else label for id, label in labels.items()}  # the browser knows labels
    if labels:
        st.title("Compare", anchor=False)
        st.multiselect("Calibrations", list(labels), format_func=labels.__getitem__, key=IDS, max_selections=MOST,
                       placeholder="Choose two or more; type to search")
    return bool(labels)


def _lines(members: Sequence[Member]) -> None:
    """A line a calibration, each with the letter and the symbol that it has in the figure."""
    rows = []
    for place, row in enumerate(map(Row.of, members)):
        line = {head: escaped(text) for head, text in cells(row).items()}
        line["Calibration"] = f"[{line['Calibration']}](results?id={row.id})"
        badges = [f":{OF_AN_OUTCOME[row.outcome]}-badge[{row.outcome}]"] if row.outcome else []
        line["Verdict"] = " ".join([*badges, *([] if line.pop("State") == "DONE" else [runs.badge(row.state)])])
        rows.append({"": f"**{_tag(place)}**", **line})
    frame = pd.DataFrame(rows).rename(columns={"kappa": "κ"})
    st.table(frame, border="horizontal", hide_index=True, alt="A line for each calibration")
    st.caption("Of the scaled arm against base, in the metric that the task judges, by the default margin: the difference at the "
               "end with the interval of the test. Noise scale in samples."
               + (" Choose another calibration above to compare it with this one." if len(members) == 1 else ""))


def _report(members: Sequence[Member], write: Callable[[Report], str]) -> str:
    return write(comparison_report(members))


def _tag(place: int) -> str:
    """Letter and symbol of a calibration, as in the figure."""
    return f"{compare_charts.letter(place)}\N{NO-BREAK SPACE}{compare_charts.mark(place)}"


def _figure(members: Sequence[Member], view: View) -> None:
    """The differences or curves over each other."""
    arms, in_margins = view.arms or (), view.unit == "margins"
    if view.show == "differences":
        table = comparison.differences(members, view.metric, arms, view.axis, in_margins)
    else:
        table = comparison.courses(members, view.metric, arms, view.axis)
    if table.empty:
        st.info("Choose an arm." if not arms else "There is nothing to draw yet: no points were measured.")
        return
    x_title = f"{AXIS_TITLES[view.axis]} since {_since(members)}"
    label, unit = members[0].metric(view.metric).label, comparison.unit(members, view.metric)
    if view.show == "differences":
        margins = [1.0 if in_margins else member.margin(view.metric) for member in members]
        figure = compare_charts.differences(table, arms, (x_title, f"Difference ({'margins' if in_margins else unit})"), margins)
        words = [f"{label}: {_pairs(members)}.", "Grey band: the margin, each calibration's own."
                 if in_margins else "Grey band, or dotted lines in the colours: the margins.",
                 "Double-click for what lies outside the picture."]
    else:
        figure = compare_charts.courses(table, arms, (x_title, f"{label} ({unit})"))
        words = ["Mean over seeds."]
    words.append(_band(table, view))
    words.append("Letters and symbols are those of the table above.")
    if missing := [compare_charts.letter(place) for place in range(len(members)) if place not in set(table["place"])]:
        words.append(f"Nothing to draw of {', '.join(missing)}: no points, or every seed diverged.")
    live_plot.show(figure, key=f"compare-{view.show}-{view.axis}-{view.metric}-{view.unit}", alt=" ".join(words),
                   file=live_plot.file_name("compare", label, view.show))


def _pairs(members: Sequence[Member]) -> str:
    """What is subtracted from what."""
    paired = {member.record.plan.paired for member in members}
    if paired == {True}:
        return "arm minus base on the same seed, mean over seeds"
    return "mean of an arm's runs minus mean of base's" + (", on the same seed where runs are paired" if True in paired else "")


def _band(table: pd.DataFrame, view: View) -> str:
    """What the coloured bands are."""
    if len(table[["place", "arm"]].drop_duplicates()) > compare_charts.MOST_BANDS:
        return "Bands are left out: so many would hide each other."
    return "Coloured bands: intervals of the test, point by point." if view.show == "differences" else "Bands: min to max."


def _since(members: Sequence[Member]) -> str:
    """Where the samples of the arms are counted from."""
    starts = {curve_view.beginning(member.record) for member in members}
    return starts.pop() if len(starts) == 1 else "the arms began"


def _configurations(members: Sequence[Member]) -> None:
    """Every field of the configurations side by side; what differs is marked, and alone unless all are asked for."""
    every = settings(members)
    st.header("Configurations", anchor=False)
    several = len(members) > 1
    whole = not several or st.toggle("Also what is the same", key="compare-whole")
    fields = [setting for setting in every if whole or setting.differs]
    if not fields:
        st.caption("All fields are the same.")
        return
    heads = ["Field", *map(_tag, range(len(members)))]
    rows = [(f"**{escaped(setting.name)} ≠**" if setting.differs and whole else escaped(setting.name),
             *(escaped(value) for value in setting.values)) for setting in fields]
    st.table(pd.DataFrame(rows, columns=heads), border="horizontal", hide_index=True, alt="Configurations side by side")
    st.caption("Base → scaled where the two are not the same." + (
        f" {len(every) - len(fields)} fields are the same and left out." if len(fields) < len(every) else ""))
