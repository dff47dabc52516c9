"""Putting a backup in the place of the database, and looking whether a database is whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import JSON, Engine, TypeDecorator, inspect, select, text
from sqlalchemy.engine import URL

from ..rules import FieldError
from . import backup, migrate
from .chunks import DamagedChunk
from .connect import StoreError, connect, database_url, shown
from .models import Base, Calibration
from .store import Store


def file_of(url: URL, instead: str) -> Path:
    """The file of a SQLite database; of any other kind raises FieldError, which says what does the job there."""
    if url.get_backend_name() != "sqlite" or not url.database:
        raise FieldError("SQRTSCALE_DATABASE_URL", shown(url), f"is no file of SQLite: use {instead}")
    return Path(url.database)


def back_up(target: Path) -> Path:
    """Copy the database to a new file; returns the database. Raises FieldError, StoreError."""
    path = file_of(database_url(), "the database's own tool, for PostgreSQL pg_dump --format=custom")
    if not path.exists():
        raise StoreError(f"there is no database yet: {path} does not exist")
    try:
        backup.copy(path, target)
    except OSError as error:
        raise FieldError("FILE", str(target), f"cannot be written ({error.strerror or 'it exists already'}): give a new file") \
            from error
    return path


def restore(source: Path) -> tuple[Path, Path | None]:
    """Put a backup in the place of the database; returns the database and where its former content is kept.

    The caller has seen to it that nothing trains. Raises FieldError for what is no backup, and StoreError.
    """
    path = file_of(database_url(), "the database's own tool, for PostgreSQL pg_restore --clean")
    if not source.is_file():
        raise FieldError("FILE", str(source), "is no file: give one that sqrtscale store backup has made")
    problem = backup.damage(source)
    if not problem:
        revision = backup.revision(source)
        if revision is None:
            problem = "is no database of sqrtscale"
        elif revision not in migrate.known():
            problem = f"was written by a newer sqrtscale (schema {revision}, this program knows up to {migrate.HEAD})"
    if problem:
        raise FieldError("FILE", str(source), f"{problem}: give one that sqrtscale store backup has made")
    connect(database_url()).dispose()  # makes the folder, and refuses one on a network
    with backup.alone(path):
        former = None
        if path.exists() and not backup.damage(path):
            former = backup.beside(path, "before-restore")
            backup.copy(path, former)
            backup.over(source, path)
        else:
            former = backup.aside(path) if path.exists() else None
            backup.copy(source, path)
    return path, former


def older_schema() -> str:
    """What there is to say of a database that an older sqrtscale wrote, which is nothing wrong; "" of any other."""
    url = database_url()
    path = Path(url.database or "")
    if url.get_backend_name() != "sqlite" or not path.exists():
        return ""
    try:
        revision = backup.revision(path)
    except sqlite3.Error:  # it is damaged, which is a problem
        return ""
    if revision == migrate.HEAD or revision not in migrate.known():
        return ""
    return (f"{path} has schema {revision}, and this program's is {migrate.HEAD}: it is upgraded, after a backup, when it is "
            "next used; check it again then, as curves are read only after that")


def problems(further: Callable[[Store], Iterator[str]]) -> Iterator[str]:
    """What is wrong with the database, a sentence each: with its file, with what is stored of single calibrations, and what
    ``further`` says of the rest.

    Of one with an older schema everything but what takes this program's schema to read; it is not upgraded here.
    """
    url = database_url()
    if url.get_backend_name() == "sqlite":
        path = file_of(url, "")
        if not path.exists():
            raise StoreError(f"there is no database yet: {path} does not exist")
        if damage := backup.damage(path):
            yield f"{path} {damage}; sqrtscale store restore FILE puts a backup in its place"
            return
        if (revision := backup.revision(path)) is None:
            yield f"{path} is no database of sqrtscale"
            return
        if revision != migrate.HEAD:
            if revision in migrate.known():
                yield from _no_json_of(url)
            else:
                yield (f"{path} was written by a newer sqrtscale (schema {revision}, this program knows up to {migrate.HEAD}): "
                       "upgrade sqrtscale")
            return
    store = Store.open()
    try:
        engine = connect(url)
        yield from _no_json(engine)
        yield from _unreadable(store, engine)
        engine.dispose()
        yield from further(store)
    finally:
        store.close()


def _no_json_of(url: URL) -> Iterator[str]:
    engine = connect(url)
    try:
        yield from _no_json(engine)
    finally:
        engine.dispose()


def _no_json(engine: Engine) -> Iterator[str]:
    """Columns of JSON that hold none; other databases than SQLite do not take such values."""
    if engine.dialect.name != "sqlite":
        return
    there = inspect(engine.execution_options(write=False))
    for table in Base.metadata.sorted_tables:
        names = {column["name"] for column in there.get_columns(table.name)} if there.has_table(table.name) else set()
        for column in (column for column in table.columns if column.name in names):
            kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
            if isinstance(kind, JSON):
                owner = "id" if table.name == "calibration" else "calibration_id"
                query = text(f"SELECT DISTINCT {owner} FROM {table.name} WHERE NOT json_valid({column.name})")
                with engine.execution_options(write=False).connect() as connection:
                    for (id,) in connection.execute(query):
                        yield f"calibration {id}: {table.name}.{column.name} is no JSON"


def _unreadable(store: Store, engine: Engine) -> Iterator[str]:
    with engine.execution_options(write=False).connect() as connection:
        ids = list(connection.scalars(select(Calibration.id).order_by(Calibration.number)))
    for id in ids:
        try:
            store.record(id)
            store.curves(id)
        except (FieldError, DamagedChunk) as error:
            yield f"calibration {id}: {error}"
