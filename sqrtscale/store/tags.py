"""Tags: words that users hang on calibrations to find them again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..rules import FieldError
from .models import Calibration, Tag
from .text import clean

LONGEST = 40  # characters


def checked(tag: str) -> str:
    """The tag as it is stored, every stretch of blanks being one; raises FieldError."""
    text = " ".join(clean(tag).split())
    if not 0 < len(text) <= LONGEST:
        raise FieldError("tag", tag, f"is no tag: give 1 to {LONGEST} characters")
    return text


def add(session: Session, ids: Sequence[str], tags: Iterable[str]) -> int:
    """Hang every tag on every calibration that there is; returns how many of those there are."""
    tags = [checked(tag) for tag in dict.fromkeys(tags)]
    # Their rows are locked, so that nobody hangs the same tag on them meanwhile.
    there = session.scalars(select(Calibration.id).where(Calibration.id.in_(ids)).with_for_update()).all()
    have = {(row.calibration_id, row.tag) for row in session.scalars(select(Tag).where(Tag.calibration_id.in_(there)))}
    wanted = {(id, tag) for id in there for tag in tags}
    session.add_all(Tag(calibration_id=id, tag=tag) for id, tag in sorted(wanted - have))
    return len(there)


def remove(session: Session, ids: Sequence[str], tags: Iterable[str]) -> None:
    """Take every tag off every calibration, where it hangs there."""
    session.execute(delete(Tag).where(Tag.calibration_id.in_(ids), Tag.tag.in_([checked(tag) for tag in tags])))


def of(session: Session, id: str) -> tuple[str, ...]:
    """The tags of a calibration, in order of the alphabet."""
    return tuple(session.scalars(select(Tag.tag).where(Tag.calibration_id == id).order_by(Tag.tag)))


def counted(session: Session) -> dict[str, int]:
    """Every tag -> how many calibrations have it, the most used first."""
    times = func.count()
    return {tag: count for tag, count in session.execute(
        select(Tag.tag, times).group_by(Tag.tag).order_by(times.desc(), Tag.tag))}
