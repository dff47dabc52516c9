"""Bring a database to this program's schema: a backup first, one process at a time."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import PoolProxiedConnection

from . import backup
from .connect import StoreError, read_only, retried, shown

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0008"  # the newest file in migrations/versions; a test holds this to Alembic's own answer
SCRIPTS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 74_210_563  # any number: PostgreSQL's advisory lock of this program


def migrate(engine: Engine, within: float = math.inf) -> None:
    """Create or upgrade the schema; raises StoreError for a newer schema or a file that is no database.

    within: seconds after which it is not tried again while another process is in the way.
    """
    try:
        # Again, because two processes cannot switch a new file to write-ahead logging at the same time.
        retried(lambda: _to_head(engine), within=within)
    except (DatabaseError, sqlite3.Error, OSError) as error:
        reason = getattr(error, "orig", None) or error
        raise StoreError(f"cannot open the database {shown(engine.url)}: {reason}") from error


def _to_head(engine: Engine) -> None:
    if _revision(engine) == HEAD:
        return
    if read_only(engine.url):
        raise StoreError(f"the database {shown(engine.url)} was written by an older sqrtscale and can only be read: upgrading it "
                         "takes permission to write the file and its folder")
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


def known() -> set[str]:
    """Every revision that this program can open."""
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


def _upgrade(engine: Engine, revision: str | None) -> None:
    # Alembic costs a tenth of a second to import: only an upgrade pays it.
    from alembic import command

    if revision is not None and revision not in known():
        raise StoreError(f"the database {shown(engine.url)} was written by a newer sqrtscale (schema {revision}, "
                         f"this program knows up to {HEAD}): upgrade sqrtscale, or set SQRTSCALE_HOME to another folder")
    if revision is not None and engine.dialect.name == "sqlite":
        path = Path(engine.url.database or "")
        backup.copy(path, backup.beside(path, revision))
    # One transaction around all of it, begun here, so that Alembic does not commit before the check.
    config = _config()
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
            raise StoreError(f"the database {shown(connection.engine.url)} was not upgraded: a row of table "
                             f"{lost[0]} would refer to a missing row of {lost[2]}; report this and go on with the older "
                             "sqrtscale")


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Only one process at a time is in here, for this database."""
    if engine.dialect.name == "sqlite":
        with backup.alone(Path(engine.url.database or "")):
            yield
    else:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": ADVISORY_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": ADVISORY_LOCK})
