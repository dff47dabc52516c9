"""Opening a database: SQLite tuned for one writer among many processes, or any other by its URL."""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from ..home import database_file, home, private_folder
from .models import dumps

T = TypeVar("T")
BUSY_TIMEOUT_MS = 10_000
TRIES = 5
CONNECT_TIMEOUT_S = 10
PROMPT_S = 2  # for somebody who waits for a word: of each address that a host name has, localhost for example two
# A server whose machine is gone answers nothing, not even that: libpq's defaults wait for two hours.
NETWORK = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# SQLite's write-ahead log needs memory shared by all its processes: not to be had across a network.
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "fuse.sshfs", "lustre", "beegfs", "ceph", "fuse.ceph",
                        "fuse.glusterfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.juicefs", "afs", "gpfs", "orangefs"}
# PostgreSQL's words for "another transaction was in the way, try again".
AGAIN = {"40001", "40P01", "55P03"}


class StoreError(RuntimeError):
    """The database cannot be used; the message names it and says what to do."""


class Damaged(dict[str, Any]):
    """In place of a value that should be JSON and is not: empty, so that lists go on without it."""


def failure(error: BaseException) -> str:
    """What users read of a database that cannot be opened or has failed since, in one line; nothing of any other error."""
    if isinstance(error, SQLAlchemyError):
        does = "does not answer, try again later" if in_the_way(error) else "failed"
        error = StoreError(f"the database {does}: {getattr(error, 'orig', None) or error}")
    return " ".join(str(error).split()) if isinstance(error, StoreError) else ""


def shown(url: URL) -> str:
    """The URL for people: no password, also none that stands behind the question mark."""
    return url.set(query={}).render_as_string()


def database_url(url: str | None = None) -> URL:
    """The database to use: ``url``, else SQRTSCALE_DATABASE_URL, else SQLite in the home folder."""
    chosen = url or os.environ.get("SQRTSCALE_DATABASE_URL")
    if not chosen:
        return URL.create("sqlite", database=str(database_file()))
    try:
        return make_url(chosen)
    except (ArgumentError, ValueError):  # a port that is no number; the error may hold the password
        raise StoreError("the database URL cannot be read: give one like sqlite:////path/to/file.db or "
                         "postgresql+psycopg://user:password@host/name") from None


def absolute(url: str) -> str:
    """The same database, named so that it is found from every working folder."""
    named = database_url(url)
    if named.get_backend_name() == "sqlite" and named.database:
        named = named.set(database=os.path.abspath(named.database))
    return named.render_as_string(hide_password=False)


def connect(url: URL, prompt: bool = False) -> Engine:
    """An engine for that database; its transactions write unless marked ``write=False``.

    prompt: it gives up within about 4 seconds where the database does not answer, for somebody who waits for a word.
    """
    json_functions = {"json_serializer": dumps, "json_deserializer": _loads}
    try:
        if url.get_backend_name() != "sqlite":
            engine = create_engine(url, pool_pre_ping=True, connect_args=_patience(url, prompt), **json_functions)
            if prompt and engine.dialect.name == "postgresql":
                event.listen(engine, "connect", _limit_locks)
            return engine
    except (NoSuchModuleError, ImportError) as error:
        raise StoreError(f"the database {shown(url)} needs a driver that is not installed: {error}") from error
    path = Path(url.database or "")
    if not url.database or url.database == ":memory:":
        raise StoreError("a database in memory is not seen by the training process: give a file")
    path = path.absolute()  # a task's own code may go to another folder
    url = url.set(database=str(path))
    refuse_network(path)
    try:
        if path.is_relative_to(home()):
            private_folder(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder of the database {path}: {error.strerror}") from error
    busy_timeout = min(BUSY_TIMEOUT_MS, 2000 * PROMPT_S) if prompt else BUSY_TIMEOUT_MS
    if read_only(url):
        engine = create_engine(url, creator=lambda: open_for_reading(path), poolclass=NullPool, **json_functions)
        pragmas = ["query_only=ON"]
    else:
        _make_private(path)
        engine = create_engine(url, **json_functions)
        pragmas = ["journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"]
    event.listen(engine, "connect", _on_connect([f"busy_timeout={busy_timeout}", *pragmas]))
    event.listen(engine, "begin", _on_begin)
    event.listen(engine, "handle_error", _on_error, retval=True)
    return engine


def synchronize(url: URL) -> None:
    """See to it that what was committed outlives a loss of power; a server does that with each commit.

    SQLite synchronises its log only when it takes it into the database file, which would cost every commit milliseconds.
    """
    if url.get_backend_name() != "sqlite":
        return
    with suppress(FileNotFoundError):  # all of it is in the database file
        log = os.open(f"{url.database}-wal", os.O_RDONLY)
        try:
            os.fsync(log)
        finally:
            os.close(log)


def read_only(url: URL) -> bool:
    """Whether the database is a file that this user can only read, or lies in a folder where nothing can be written."""
    if url.get_backend_name() != "sqlite":
        return False
    path = Path(url.database or "")
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, also where nothing may be changed."""
    # Where no process has it open there is no log beside it, and none can be made: then nobody changes it either.
    log = Path(f"{path}-wal")
    way = "mode=ro" if (log.exists() and log.stat().st_size) or os.access(path.parent, os.W_OK) else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(path))}?{way}", uri=True, check_same_thread=False)


def _make_private(path: Path) -> None:
    """A new database file for its owner alone; SQLite gives what it makes beside it the same permissions."""
    with suppress(OSError):  # there already, or cannot be made, which SQLite will say
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _patience(url: URL, prompt: bool) -> dict[str, Any]:
    """How long the driver waits for a server that does not answer, unless the URL says so."""
    if url.get_backend_name() != "postgresql":
        return {}
    ours = {"connect_timeout": PROMPT_S if prompt else CONNECT_TIMEOUT_S} | NETWORK
    return {name: value for name, value in ours.items() if name not in url.query}


def _limit_locks(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    # Not by the driver's "options", which would stand in the place of those in the URL or in PGOPTIONS: a schema, for example.
    cursor = connection.cursor()
    cursor.execute(f"SELECT set_config('lock_timeout', '{2000 * PROMPT_S}', false) WHERE current_setting('lock_timeout') = '0'")
    cursor.close()
    connection.commit()


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return Damaged()


def _on_connect(pragmas: Sequence[str]) -> Callable[[sqlite3.Connection, ConnectionPoolEntry], None]:
    def prepare(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        # Without this the driver begins transactions itself, too late and never IMMEDIATE.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return prepare


def _on_begin(connection: Connection) -> None:
    # A writer takes its lock at the start: one that read first would be refused at once if another wrote since.
    writes = connection.get_execution_options().get("write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _on_error(context: ExceptionContext) -> OperationalError | None:
    # SQLite says that a disk is full or a file read-only, never which.
    error = context.sqlalchemy_exception
    if not isinstance(error, OperationalError) or error.orig is None or context.engine is None:
        return None
    named = type(error.orig)(f"{error.orig}: {context.engine.url.database}")
    return OperationalError(error.statement, error.params, named)


def in_the_way(error: SQLAlchemyError) -> bool:
    """Whether another process is in the way, so that it may go well in a moment."""
    cause = getattr(error, "orig", None)
    return "locked" in str(cause).lower() or getattr(cause, "sqlstate", None) in AGAIN


def retried(work: Callable[[], T], tries: int = TRIES, within: float = math.inf) -> T:
    """``work()``, again after a pause while another process is in the way, but not after that many seconds."""
    began = time.monotonic()
    for attempt in range(tries):
        try:
            return work()
        except OperationalError as error:
            if not in_the_way(error) or attempt == tries - 1 or time.monotonic() - began > within:
                raise
            # At random, so that processes that met once do not meet again.
            time.sleep(0.1 * 2**attempt * random.uniform(0.5, 1))
    raise AssertionError("unreachable")


def refuse_network(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Raise StoreError when ``path`` lies on a network file system (known only where /proc is)."""
    if not mounts.exists():
        return
    resolved = path.resolve()  # a link may lead away
    mount, kind = "", ""
    for line in mounts.read_text().splitlines():
        _, point, file_system, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if len(point) >= len(mount) and resolved.is_relative_to(point):
            mount, kind = point, file_system
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(f"the database {path} lies on a network file system ({kind}), where SQLite loses data: "
                         "set SQRTSCALE_HOME to a local folder, or SQRTSCALE_DATABASE_URL to a PostgreSQL database")
