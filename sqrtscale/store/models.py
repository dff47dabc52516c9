"""The tables. Portable types only: the same models run on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

Spread = dict[str, dict[str, tuple[float, float, int]]]


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, also where the database keeps none (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Numbers(TypeDecorator[dict[str, float]]):
    """A dict of floats as valid JSON: NaN and infinity, which JSON lacks, are kept as their names."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: dict[str, float] | None, dialect: Dialect) -> dict[str, Any] | None:
        numbers = {key: float(number) for key, number in (value or {}).items()}
        return {key: number if math.isfinite(number) else repr(number) for key, number in numbers.items()}

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> dict[str, float]:
        return {key: float(number) for key, number in (value or {}).items()}


class Spreads(TypeDecorator[Spread]):
    """arm -> metric -> (mean, standard deviation, count) as valid JSON: NaN and infinity are kept as their names."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Spread | None, dialect: Dialect) -> dict[str, Any]:
        return {arm: {metric: [number if math.isfinite(number) else repr(number) for number in numbers]
                      for metric, numbers in metrics.items()} for arm, metrics in (value or {}).items()}

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> Spread:
        return {arm: {metric: (float(mean), float(std), count) for metric, (mean, std, count) in metrics.items()}
                for arm, metrics in (value or {}).items()}


class Floats(TypeDecorator[tuple[float, ...]]):
    """Finite numbers in order."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[float, ...] | None, dialect: Dialect) -> list[float]:
        return list(value or ())

    def process_result_value(self, value: list[float] | None, dialect: Dialect) -> tuple[float, ...]:
        return tuple(value or ())


class Anything(TypeDecorator[Any]):
    """Any plain data as valid JSON: a number that JSON lacks is kept as ``{"$float": name}`` and comes back."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if isinstance(value, dict):
            return {str(key): self.process_bind_param(item, dialect) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.process_bind_param(item, dialect) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return {"$float": repr(float(value))}
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if isinstance(value, dict):
            if value.keys() == {"$float"}:
                return float(value["$float"])
            return {key: self.process_result_value(item, dialect) for key, item in value.items()}
        if isinstance(value, list):
            return [self.process_result_value(item, dialect) for item in value]
        return value


def dumps(value: Any) -> str:
    """Strict JSON for the databases: a stray NaN is an error here, not a damaged row later."""
    return json.dumps(value, allow_nan=False)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)


class Calibration(Base):
    __tablename__ = "calibration"
    __table_args__ = ({"sqlite_autoincrement": True},)  # a number is never used twice

    number: Mapped[int] = mapped_column(Integer, primary_key=True)  # order of submission
    id: Mapped[str] = mapped_column(String(12), unique=True)
    kind: Mapped[str] = mapped_column(String(12), default="calibration")  # or imported
    name: Mapped[str] = mapped_column(String(200), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    note_version: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[str] = mapped_column(String(12), index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    environment: Mapped[dict[str, Any]] = mapped_column(Anything, default=dict)
    # What lists show and filter by, so that they read no plan.
    task: Mapped[str] = mapped_column(String(40), index=True)
    optimizer: Mapped[str] = mapped_column(String(40))
    base_batch: Mapped[int] = mapped_column(BigInteger)
    target_batch: Mapped[int] = mapped_column(BigInteger)
    seeds: Mapped[int] = mapped_column(Integer)
    start: Mapped[str] = mapped_column(String(12))
    lr: Mapped[float | None] = mapped_column(Double)  # of base
    scaled_lr: Mapped[float | None] = mapped_column(Double)
    # What came out (records.Result), and which JUDGING wrote it; 0 where nobody has judged.
    outcome: Mapped[str] = mapped_column(String(12), default="")
    answer: Mapped[str] = mapped_column(Text, default="")
    difference: Mapped[float | None] = mapped_column(Double)
    low: Mapped[float | None] = mapped_column(Double)
    high: Mapped[float | None] = mapped_column(Double)
    margin: Mapped[float | None] = mapped_column(Double)
    noise_scale: Mapped[float | None] = mapped_column(Double)
    noise_low: Mapped[float | None] = mapped_column(Double)
    noise_high: Mapped[float | None] = mapped_column(Double)
    course: Mapped[tuple[float, ...]] = mapped_column(Floats, default=())
    judging: Mapped[int] = mapped_column(Integer, default=0)
    ends: Mapped[Spread] = mapped_column(Spreads, default=dict)  # of the runs' last values, written with them
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    heartbeat_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    phase: Mapped[str] = mapped_column(String(40), default="")
    done: Mapped[int] = mapped_column(BigInteger, default=0)  # samples over all runs
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    samples_per_second: Mapped[float | None] = mapped_column(Double)
    points: Mapped[int] = mapped_column(BigInteger, default=0)  # grows with every batch of curve points
    device: Mapped[str] = mapped_column(String(100), default="")
    # The supervisor's identity: a pid alone may be somebody else's tomorrow.
    host: Mapped[str] = mapped_column(String(255), default="")
    boot_id: Mapped[str] = mapped_column(String(64), default="")
    pid: Mapped[int | None] = mapped_column(Integer)
    pid_started: Mapped[str] = mapped_column(String(40), default="")
    resume_after_restart: Mapped[bool] = mapped_column(Boolean, default=False)  # the user's choice


class Run(Base):
    __tablename__ = "run"
    __table_args__ = (UniqueConstraint("calibration_id", "arm", "seed"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    calibration_id: Mapped[str] = mapped_column(ForeignKey("calibration.id", ondelete="CASCADE"), index=True)
    arm: Mapped[str] = mapped_column(String(80))
    seed: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(Text, default="")
    config: Mapped[dict[str, Any]] = mapped_column(JSON)
    executor: Mapped[str] = mapped_column(String(40), default="")  # how its steps were carried out; empty where nobody noted it
    final: Mapped[dict[str, float]] = mapped_column(Numbers, default=dict)
    best: Mapped[dict[str, float]] = mapped_column(Numbers, default=dict)


class Chunk(Base):
    __tablename__ = "chunk"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(String(80), primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Event(Base):
    __tablename__ = "event"
    __table_args__ = (Index("ix_event_calibration_id", "calibration_id"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    calibration_id: Mapped[str] = mapped_column(ForeignKey("calibration.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]] = mapped_column(Anything, default=dict)


class Tag(Base):
    __tablename__ = "tag"

    calibration_id: Mapped[str] = mapped_column(ForeignKey("calibration.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True, index=True)


class SavedFilter(Base):
    __tablename__ = "saved_filter"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    query: Mapped[str] = mapped_column(Text)  # of the list's address


class LabRun(Base):
    """An experiment of the lab: no calibration, so no list of those holds it."""

    __tablename__ = "lab_run"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: Mapped[int] = mapped_column(Integer, primary_key=True)  # order of submission, which is the queue's
    id: Mapped[str] = mapped_column(String(12), unique=True)
    state: Mapped[str] = mapped_column(String(12), index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    settings: Mapped[str] = mapped_column(Text)  # of the experiment, as JSON
    answer: Mapped[str] = mapped_column(Text, default="")  # one sentence, so that lists read no result
    result: Mapped[str] = mapped_column(Text, default="")  # what the lab's files hold
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    heartbeat_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done: Mapped[int] = mapped_column(BigInteger, default=0)  # chains
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    host: Mapped[str] = mapped_column(String(255), default="")
    boot_id: Mapped[str] = mapped_column(String(64), default="")
    pid: Mapped[int | None] = mapped_column(Integer)
    pid_started: Mapped[str] = mapped_column(String(40), default="")
