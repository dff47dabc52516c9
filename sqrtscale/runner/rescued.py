"""A calibration that goes on in a rescue file, because the file of its database is gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..home import calibration_folder, home
from ..store import Store
from ..store.rescue import DatabaseFile, Noted, StoredEvent, begin, events_of, is_damage
from . import snapshots


def rescue_file(id: str) -> Path:
    """The database of that calibration alone; there from the moment on in which its own was lost."""
    return calibration_folder(id) / "rescue.db"


def rescue_files() -> list[Path]:
    """Those of this home."""
    return sorted((home() / "calibrations").glob("*/rescue.db"))


def goes_on(id: str) -> bool:
    """Whether there is something to go on from, and no rescue file that has to be imported first."""
    return snapshots.there(id) and not rescue_file(id).exists()


def hint(file: Path) -> str:
    """What to do with such a file."""
    return f"{file.parent.name} went on without its database: when that is back, sqrtscale store import {file}"


def current(store: Store, id: str) -> Store:
    """Where the calibration is stored now: its rescue file where it has one."""
    return Store.open(f"sqlite:///{rescue_file(id)}") if rescue_file(id).exists() else store


class Rescue:
    """All that was measured of a calibration, for the case that the file of its database is lost."""

    def __init__(self, store: Store, id: str, environment: Mapping[str, Any]):
        self._record = store.get(id)
        self._noted = Noted.of(store, id)
        self._file = DatabaseFile.of(store.url)
        self._environment = environment
        self.events: list[StoredEvent] = events_of(store, self._record)

    def problem(self, error: BaseException | None) -> str:
        """What has become of the file; "" where it is there. error: what the database said last."""
        return self._file.problem() or ("is damaged" if self._file.path and is_damage(error) else "")

    def begin(self, problem: str) -> Store:
        """The rescue file's store, with the calibration but none of its points."""
        file = rescue_file(self._record.id)
        store = begin(file, self._record, dict(self._environment), self._noted)
        print(f"the database {self._file.path} {problem}: {hint(file)}")
        return store
