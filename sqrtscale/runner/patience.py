"""One patience for every process that needs the database: supervisor, child, scheduler, the lab, and who waits for an end.

What the database refuses (it is locked, restarted, not to be reached, its disk is full) is tried again after a pause that grows,
and every success begins anew: a fault of the database is never a calibration's fault. A statement may so be carried out twice,
where its answer was lost: each of them leaves the same rows behind then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from ..store import Store, StoreError
from ..store.rescue import is_damage
from . import disk_reserve

T = TypeVar("T")
U = TypeVar("U")
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # seconds between two tries
LIMIT = 7 * 24 * 3600.0  # seconds: a database that is away for longer does not come back by itself
SAID_EVERY = 600.0  # seconds between two lines of a log
SILENT = 5.0  # seconds without an answer that are worth a word
LOOK_EVERY = 0.25  # seconds between two looks whether to give up


def never() -> bool:
    """For who does not give up."""
    return False


class GivenUp(Exception):
    """Somebody wants the process to end, which waits for the database."""


def to_standard_error(text: str) -> None:
    """A line for the log, unless the disk is full."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        return


def away(error: BaseException | None) -> bool:
    """Whether the database or the disk is at fault, so that the same may go well later."""
    if isinstance(error, StoreError):  # it could not be opened
        return away(error.__cause__)
    if isinstance(error, DBAPIError):
        return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated or is_damage(error)
    return error is not None and disk_reserve.is_full(error)


class Patience:
    """Of one process. say: gets a line when the waiting begins, now and then, and when it is over."""

    def __init__(self, say: Callable[[str], None] = to_standard_error, limit: float = LIMIT):
        self._say = say
        self._limit = limit
        self._tries = 0  # that were refused since the last success
        self._again_at = 0.0
        self._said_at = 0.0
        self._refused_at: tuple[float, datetime] | None = None
        self._asked_at: tuple[float, datetime] | None = None
        self._reason = ""
        self.error: BaseException | None = None  # of the last statement, where it was refused
        self.disk_is_full = False  # which is why the last statement was refused

    @property
    def waiting(self) -> str:
        """What the process waits for, in words; "" where it does not wait. For another thread, too."""
        if refused_at := self._refused_at:
            what = "room on the full disk" if self.disk_is_full else "the database"
            return f"waiting for {what} since {refused_at[1]:%Y-%m-%d %H:%M:%S} UTC: {self._reason}"
        if (asked_at := self._asked_at) and time.monotonic() - asked_at[0] > SILENT:
            return f"waiting for the database since {asked_at[1]:%Y-%m-%d %H:%M:%S} UTC: it does not answer"
        return ""

    def attempt(self, work: Callable[[], T], otherwise: U) -> T | U:
        """``work()`` if its time has come, once; ``otherwise`` where the database refuses it. Raises its error after LIMIT."""
        if time.monotonic() < self._again_at:
            return otherwise
        self._asked_at = self._now()
        try:
            done = work()
        except (DBAPIError, StoreError, OSError) as error:
            if not away(error):
                raise
            self._refused(error)
            return otherwise
        finally:
            self._asked_at = None
        self._answered()
        return done

    def insist(self, work: Callable[[], T], given_up: Callable[[], object] = never) -> T:
        """``work()``, however often it takes. Raises GivenUp where ``given_up()`` comes true meanwhile."""
        refused = object()
        while (done := self.attempt(work, refused)) is refused:
            if given_up():
                raise GivenUp(self.waiting)
            time.sleep(min(max(self._again_at - time.monotonic(), 0.0), LOOK_EVERY))
        return cast(T, done)

    def _refused(self, error: BaseException) -> None:
        self._reason = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
        self.error, self.disk_is_full = error, disk_reserve.is_full(error)
        now = self._now()
        self._refused_at = self._refused_at or now
        if now[0] - self._refused_at[0] > self._limit:
            raise error
        if not self._tries or now[0] - self._said_at > SAID_EVERY:
            self._said_at = now[0]
            self._say(self.waiting)
        self._again_at = now[0] + min(FIRST_PAUSE * 2 ** min(self._tries, 20), LONGEST_PAUSE)
        self._tries += 1

    def _answered(self) -> None:
        if self._refused_at:
            self._say(f"the database answers again, after {time.monotonic() - self._refused_at[0]:.0f} s")
        self._tries, self._again_at, self._refused_at, self.error, self.disk_is_full = 0, 0.0, None, None, False

    @staticmethod
    def _now() -> tuple[float, datetime]:
        return time.monotonic(), datetime.now(UTC)


class _Patient:
    """A store, or a part of one, each of whose methods is insisted on."""

    def __init__(self, store: object, patience: Patience, given_up: Callable[[], object]):
        self.impatient = store
        self.patience = patience
        self._given_up = given_up

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.impatient, name)
        if not callable(value):
            return value
        return lambda *arguments, **named: self.patience.insist(lambda: value(*arguments, **named), self._given_up)


def patient(store: T, patience: Patience, given_up: Callable[[], object] = never) -> T:
    """That store, or part of one, with every statement of it tried until it goes well."""
    return cast(T, _Patient(store, patience, given_up))


def impatient(store: Store) -> Store:
    """The store below :func:`patient`, whose statements are tried once."""
    return cast(Store, store.impatient) if isinstance(store, _Patient) else store


def patience_of(store: Store) -> Patience:
    """With which that store is patient; of any other a new one."""
    return store.patience if isinstance(store, _Patient) else Patience()
