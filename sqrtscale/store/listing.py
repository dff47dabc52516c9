"""Lists of calibrations: which ones, in which order, and the filters that users gave a name."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, nulls_last, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from ..rules import FieldError
from ..tasks.own import VERSION
from .models import Calibration, SavedFilter, Tag
from .records import JUDGING, CalibrationSummary
from .states import FINAL_STATES
from .text import clean

LONGEST_NAME, LONGEST_QUERY = 60, 2000  # characters of a saved filter
SUMMARY = [name for name in CalibrationSummary.__dataclass_fields__ if name not in ("progress", "final", "tags")]
KAPPA = Calibration.target_batch * 1.0 / Calibration.base_batch


def _largest(value: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    largest: ColumnElement[Any] = value.desc().nulls_last()
    return largest


ORDERS: dict[str, Callable[[], ColumnElement[Any]]] = {
    "newest": Calibration.number.desc,
    "oldest": Calibration.number.asc,
    "name": lambda: nulls_last(func.nullif(func.lower(Calibration.name), "").asc()),
    "kappa": KAPPA.desc,
    "lr": lambda: _largest(Calibration.lr),
    "difference": lambda: _largest(func.abs(Calibration.difference)),
    "noise scale": lambda: _largest(Calibration.noise_scale),
}


@dataclass(frozen=True)
class Filter:
    """Which calibrations a list has, and in which order; an empty tuple stands for any.

    text: looked for in name, id, note, task, optimizer, outcome and tags; tags: each has to be there; tasks: as plans call them,
    or ``name@`` for every version of a user's own; kappa: smallest and largest; order: a key of ORDERS, numbers largest first;
    limit: how many at most.
    """

    text: str = ""
    states: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    kappa: tuple[float, float] = (0.0, math.inf)
    deleted: bool = False
    order: str = "newest"
    limit: int = 1000

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise FieldError("order", self.order, f"is no order of a list: give one of {', '.join(ORDERS)}")

    @property
    def conditions(self) -> ColumnElement[bool]:
        """What a row has to fulfil."""
        conditions: list[ColumnElement[bool]] = [
            Calibration.deleted_at.is_not(None) if self.deleted else Calibration.deleted_at.is_(None)]
        if text := clean(self.text.strip()):
            searched = (Calibration.name, Calibration.id, Calibration.note, Calibration.task, Calibration.optimizer,
                        Calibration.outcome)
            conditions.append(or_(*(column.icontains(text, autoescape=True) for column in searched),
                                  _tagged(Tag.tag.icontains(text, autoescape=True))))
        for column, values in ((Calibration.state, self.states), (Calibration.outcome, self.outcomes),
                               (Calibration.optimizer, self.optimizers)):
            if values:
                conditions.append(column.in_(values))
        if self.tasks:
            versions = [name for name in self.tasks if name.endswith(VERSION)]
            conditions.append(or_(Calibration.task.in_(self.tasks), *(_begins(Calibration.task, name) for name in versions)))
        conditions += [_tagged(Tag.tag == tag) for tag in self.tags]
        low, high = self.kappa
        if low > 0:
            conditions.append(low <= KAPPA)
        if high < math.inf:
            conditions.append(high >= KAPPA)
        return and_(*conditions)


def _begins(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    """Letter by letter: LIKE takes capital letters for small ones in SQLite."""
    return func.substr(column, 1, len(text)) == text


def _tagged(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return Calibration.id.in_(select(Tag.calibration_id).where(condition))


def summaries(session: Session, chosen: Filter) -> list[CalibrationSummary]:
    """The calibrations that the filter lets through, in its order."""
    # Neither plans and environments nor runs: a thousand of them take longer to decode than everything else.
    columns = [getattr(Calibration, name) for name in (*SUMMARY, "done", "total", "ends")]
    order = (ORDERS[chosen.order](), Calibration.number.desc())
    rows = session.execute(select(*columns).where(chosen.conditions).order_by(*order).limit(chosen.limit)).all()
    tags: defaultdict[str, list[str]] = defaultdict(list)
    tagged = select(Tag.calibration_id, Tag.tag).join(Calibration, Calibration.id == Tag.calibration_id)
    for id, tag in session.execute(tagged.where(chosen.conditions).order_by(Tag.tag)):
        tags[id].append(tag)
    listed = []
    for *values, done, total, ends in rows:
        shown = dict(zip(SUMMARY, values, strict=True))
        progress = done / total if total else float(shown["state"] == "DONE")
        listed.append(CalibrationSummary(**shown, progress=progress, final=ends, tags=tuple(tags[shown["id"]])))
    return listed


def count(session: Session, chosen: Filter) -> int:
    """How many calibrations the filter lets through, whatever its limit."""
    return session.scalars(select(func.count()).select_from(Calibration).where(chosen.conditions)).one()


def unjudged(session: Session) -> list[str]:
    """Ids of calibrations that have ended, are not deleted, and wait for a verdict of today's kind; newest first."""
    return list(session.scalars(select(Calibration.id).where(
        Calibration.judging < JUDGING, Calibration.state.in_(FINAL_STATES), Calibration.deleted_at.is_(None)
    ).order_by(Calibration.number.desc())))


def saved_filters(session: Session) -> dict[str, str]:
    """Name -> query of the list's address, in order of the names."""
    return {row.name: row.query for row in session.scalars(select(SavedFilter).order_by(SavedFilter.name))}


def save_filter(session: Session, name: str, query: str) -> None:
    """Keep a filter under a name, in place of one that has the name already; raises FieldError."""
    name = " ".join(clean(name).split())
    if not 0 < len(name) <= LONGEST_NAME:
        raise FieldError("name", name, f"is no name of a filter: give 1 to {LONGEST_NAME} characters")
    if len(query) > LONGEST_QUERY:
        raise FieldError("filter", query, "is too long to be kept: take fewer words and choices")
    session.merge(SavedFilter(name=name, query=clean(query)))


def remove_filter(session: Session, name: str) -> None:
    """Forget a filter; nothing where there is none of that name."""
    session.execute(delete(SavedFilter).where(SavedFilter.name == clean(name)))
