"""Opening a database: SQLite tuned for one writer among many processes, or any other by its URL."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from ..home import database_file
from .models import dumps

T = TypeVar("T")
BUSY_TIMEOUT_MS = 10_000
TRIES = 5
# SQLite's write-ahead log needs memory shared by all its processes: not to be had across a network.
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "fuse.sshfs", "lustre", "beegfs", "ceph", "fuse.ceph",
                        "fuse.glusterfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.juicefs", "afs", "gpfs", "orangefs"}
# PostgreSQL's words for "another transaction was in the way, try again".
AGAIN = {"40001", "40P01"}


class StoreError(RuntimeError):
    """The database cannot be used; the message names it and says what to do."""


def failure(error: BaseException) -> str:
    """What users read of a database that cannot be opened or has failed since, in one line; nothing of any other error."""
    if isinstance(error, SQLAlchemyError):
        error = StoreError(f"the database failed: {getattr(error, 'orig', None) or error}")
    return " ".join(str(error).split()) if isinstance(error, StoreError) else ""


def database_url(url: str | None = None) -> URL:
    """The database to use: ``url``, else SQRTSCALE_DATABASE_URL, else SQLite in the home folder."""
    chosen = url or os.environ.get("SQRTSCALE_DATABASE_URL")
    if not chosen:
        return URL.create("sqlite", database=str(database_file()))
    try:
        return make_url(chosen)
    except ArgumentError as error:
        raise StoreError("the database URL cannot be read: give one like sqlite:////path/to/file.db or "
                         "postgresql+psycopg://user:password@host/name") from error


def connect(url: URL) -> Engine:
    """An engine for that database; its transactions write unless marked ``write=False``."""
    try:
        if url.get_backend_name() != "sqlite":
            return create_engine(url, json_serializer=dumps, pool_pre_ping=True)
    except (NoSuchModuleError, ImportError) as error:
        raise StoreError(f"the database {url.render_as_string()} needs a driver that is not installed: {error}") from error
    path = Path(url.database or "")
    if not url.database or url.database == ":memory:":
        raise StoreError("a database in memory is not seen by the training process: give a file")
    refuse_network(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder of the database {path}: {error.strerror}") from error
    engine = create_engine(url, json_serializer=dumps)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    event.listen(engine, "handle_error", _on_error, retval=True)
    return engine


def _on_connect(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    # Without this the driver begins transactions itself, too late and never IMMEDIATE.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


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


def retried(work: Callable[[], T]) -> T:
    """``work()``, again after a pause while another process is in the way."""
    for attempt in range(TRIES):
        try:
            return work()
        except OperationalError as error:
            locked = "locked" in str(error.orig).lower() or getattr(error.orig, "sqlstate", None) in AGAIN
            if not locked or attempt == TRIES - 1:
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
