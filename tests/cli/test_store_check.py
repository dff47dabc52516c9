"""``sqrtscale store check``: databases that are whole, damaged, older, newer, none of ours."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
import stored
from alembic import command

from sqrtscale.cli import main
from sqrtscale.store import Store, migrate


@pytest.fixture
def store(home):
    opened = Store.open()
    yield opened
    opened.close()


@pytest.fixture
def run(capsys):
    """``run("check")`` -> exit code, standard output, standard error."""
    def go(*arguments):
        code = main(["store", *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def test_check_says_what_is_wrong_calibration_by_calibration(store, home, run):
    good, plan, chunk = (stored.calibration(store, name=name) for name in ("good", "plan", "chunk"))
    assert run("check") == (0, f"sqlite:///{home / 'sqrtscale.db'}: everything in it can be read\n", "")
    with closing(sqlite3.connect(home / "sqrtscale.db")) as database:
        database.execute("UPDATE calibration SET plan = 'junk' WHERE id = ?", (plan,))
        database.execute("UPDATE chunk SET data = x'01' WHERE run_id IN (SELECT id FROM run WHERE calibration_id = ?)", (chunk,))
        database.commit()
    code, out, said = run("check")
    assert (code, said) == (1, "") and good not in out
    assert f"calibration {plan}: calibration.plan is no JSON\n" in out
    assert f"calibration {chunk}: piece 0 of the curve" in out


@pytest.mark.fault(
    "the database is damaged, truncated or gone",
    "`store check` says so; `store restore` moves what is left aside and puts the backup there")
def test_check_of_a_file_that_is_damaged_or_not_there(store, home, run):
    store.close()
    path = home / "sqrtscale.db"
    path.write_text("Dear reader, " * 1000)
    code, out, _ = run("check")
    assert (code, out) == (1, f"{path} cannot be read: file is not a database; "
                              "sqrtscale store restore FILE puts a backup in its place\n")
    path.unlink()
    assert run("check") == (1, "", f"there is no database yet: {path} does not exist\n")
    assert not path.exists()  # looking makes none


def test_check_of_an_older_schema_says_so_and_looks_at_what_it_can(store, home, run):
    """The check does not upgrade it."""
    path = home / "sqrtscale.db"
    stored.calibration(store)
    with store._engine.connect() as connection, connection.begin():
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
    store.close()
    words = f"{path} has schema 0003, and this program's is {migrate.HEAD}: it is upgraded, after a backup, when it is next"
    code, out, said = run("check")
    assert (code, said) == (0, "") and out.startswith(words) and out.count("\n") == 1
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)
        database.execute("UPDATE calibration SET plan = 'junk'")
        database.commit()
    code, out, said = run("check")
    assert (code, said) == (1, "") and out.startswith(words) and out.endswith(": calibration.plan is no JSON\n")


@pytest.mark.parametrize("change, words", [
    ("UPDATE alembic_version SET version_num = '9999'", "was written by a newer sqrtscale (schema 9999"),
    ("DROP TABLE alembic_version", "is no database of sqrtscale"),
])
def test_check_of_a_newer_schema_or_another_programs_file_fails(store, home, run, change, words):
    with closing(sqlite3.connect(home / "sqrtscale.db")) as database:
        database.execute(change)
        database.commit()
    code, out, said = run("check")
    assert (code, said, out.count("\n")) == (1, "", 1) and words in out
