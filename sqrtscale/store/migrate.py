"""Bring a database to this program's schema: a backup first, one process at a time."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import PoolProxiedConnection

from .connect import StoreError, retried

HEAD = "0004"  # the newest file in migrations/versions; a test holds this to Alembic's own answer
SCRIPTS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 74_210_563  # any number: PostgreSQL's advisory lock of this program


def migrate(engine: Engine) -> None:
    """Create or upgrade the schema; raises StoreError for a newer schema or a file that is no database."""
    try:
        # Again, because two processes cannot switch a new file to write-ahead logging at the same time.
        retried(lambda: _to_head(engine))
    except (DatabaseError, sqlite3.Error, OSError) as error:
        reason = getattr(error, "orig", None) or error
        raise StoreError(f"cannot open the database {engine.url.render_as_string()}: {reason}") from error


def _to_head(engine: Engine) -> None:
    if _revision(engine) == HEAD:
        return
    with _alone(engine):
        revision = _revision(engine)  # another process may have been faster
        if revision != HEAD:
            _upgrade(engine, revision)


def _revision(engine: Engine) -> str | None:
    """The schema's revision; None for an empty database."""
    with engine.execution_options(write=False).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision


def _upgrade(engine: Engine, revision: str | None) -> None:
    # Alembic costs a tenth of a second to import: only an upgrade pays it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreError(f"the database {engine.url.render_as_string()} was written by a newer sqrtscale (schema {revision}, "
                         f"this program knows up to {HEAD}): upgrade sqrtscale, or set SQRTSCALE_HOME to another folder")
    if revision is not None and engine.dialect.name == "sqlite":
        _back_up(engine, revision)
    # One transaction around all of it, begun here, so that Alembic does not commit before the check.
    with _without_foreign_keys(engine) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _check_foreign_keys(connection)


@contextmanager
def _without_foreign_keys(engine: Engine) -> Iterator[Connection]:
    """A connection on which SQLite may rebuild tables that others refer to."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            _sqlite(connection.connection).rollback()
            _sqlite(connection.connection).execute("PRAGMA foreign_keys=OFF")
        try:
            yield connection
        finally:
            if engine.dialect.name == "sqlite":
                _sqlite(connection.connection).execute("PRAGMA foreign_keys=ON")


def _sqlite(connection: PoolProxiedConnection) -> sqlite3.Connection:
    """The driver's own connection below SQLAlchemy's."""
    driver = connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _check_foreign_keys(connection: Connection) -> None:
    """Raise StoreError, before anything is committed, when an upgrade left rows that refer to nothing."""
    if connection.dialect.name == "sqlite":
        lost = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if lost is not None:
            raise StoreError(f"the database {connection.engine.url.render_as_string()} was not upgraded: a row of table "
                             f"{lost[0]} would refer to a missing row of {lost[2]}; report this and go on with the older "
                             "sqrtscale")


def _back_up(engine: Engine, revision: str) -> None:
    path = Path(engine.url.database or "")
    folder = path.parent / "backups"
    folder.mkdir(exist_ok=True)
    copy = folder / f"{path.stem}-{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}{path.suffix}"
    connection = engine.raw_connection()
    try:
        _sqlite(connection).execute("VACUUM INTO ?", (str(copy),))
    finally:
        connection.close()


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Only one process at a time is in here, for this database."""
    if engine.dialect.name == "sqlite":
        with open(f"{engine.url.database}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    else:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": ADVISORY_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": ADVISORY_LOCK})
