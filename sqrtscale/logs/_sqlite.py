"""SQLite databases of other programs: opened to be read only, and what is damaged said in a sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ._source import refuse

MAGIC = b"SQLite format 3\0"


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that writes nothing, not even the files that SQLite puts next to a database."""
    journal = path.with_name(f"{path.name}-wal")  # what was written last and is not in the file yet
    mode = "mode=ro" if journal.exists() else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
    except (sqlite3.Error, OverflowError) as error:
        raise refuse(path, "is a damaged database, or one that is being written: copy it again when no run writes it") from error


def tables(path: Path) -> dict[str, set[str]]:
    """Table -> its columns; none where the file is damaged."""
    try:
        with database(path) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                name: {
                    row[1] for row in connection.execute("SELECT * FROM pragma_table_info(?)", (name,)).fetchall() if len(row) > 1
                }
                for name in names
            }
    except ValueError:  # refused
        return {}
