"""``sqrtscale store``: real databases copied while they are written to, killed in the middle, damaged, put back."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
import stored
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from sqrtscale.cli import main
from sqrtscale.home import calibration_folder
from sqrtscale.runner import locks
from sqrtscale.store import ACTIVE_STATES, Filter, Store
from sqrtscale.store.migrate import HEAD
from sqrtscale.store.models import Calibration


@pytest.fixture
def store(home):
    opened = Store.open()
    yield opened
    opened.close()


@pytest.fixture
def run(capsys):
    """``run("backup", file)`` -> exit code, standard output, standard error."""
    def go(*arguments):
        code = main(["store", *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def names(path):
    """Names of the calibrations in a database file."""
    with closing(sqlite3.connect(path)) as database:
        return {row[0] for row in database.execute("SELECT name FROM calibration")}


def beside(home, pattern):
    return sorted(home.glob(pattern))


def test_a_backup_is_one_private_checked_file_with_everything(store, home, tmp_path, run):
    stored.calibration(store, name="first")
    copy = tmp_path / "copy.db"
    assert run("backup", copy) == (0, f"{home / 'sqrtscale.db'} is copied to {copy}\n", "")
    assert names(copy) == {"first"} and copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)  # nothing of it stands in another file
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "home"]


@pytest.mark.fault(
    "`store backup` while calibrations write",
    "the copy is one state of the database, with what stands only in its log")
def test_what_stands_only_in_the_log_is_copied_too(store, home, tmp_path, run):
    with closing(sqlite3.connect(home / "sqrtscale.db")) as reader:  # keeps the log from being written back
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calibration").fetchone()
        stored.calibration(store, name="in the log")
        assert run("backup", tmp_path / "copy.db")[0] == 0
    assert names(tmp_path / "copy.db") == {"in the log"}


def test_a_backup_under_writing_is_one_state(store, tmp_path, run):
    """Names are written in pairs: every copy has both of a pair or neither."""
    ended = threading.Event()

    def write():
        n = 0
        while not ended.is_set():
            with store._write.begin() as session:
                session.execute(update(Calibration).values(name=str(n)))
            n += 1

    for _ in range(2):
        stored.calibration(store, "QUEUED")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(5):
            assert run("backup", tmp_path / f"{n}.db")[0] == 0
            assert len(names(tmp_path / f"{n}.db")) == 1
    finally:
        ended.set()
        writer.join()


def test_a_file_that_exists_is_not_overwritten_and_a_place_that_takes_none_is_said(store, tmp_path, run):
    copy = tmp_path / "copy.db"
    copy.write_text("precious")
    code, out, said = run("backup", copy)
    assert (code, out, said.count("\n")) == (2, "", 1) and "it exists already" in said and copy.read_text() == "precious"
    code, out, said = run("backup", tmp_path / "none" / "copy.db")
    assert (code, out, said.count("\n")) == (2, "", 1) and "No such file or directory" in said


KILLED = """
import os, signal, sqlite3
from sqrtscale.store import backup
class Connection(sqlite3.Connection):
    def backup(self, target, **options):
        def die(status, remaining, total):
            if remaining < total // 2:
                os.kill(os.getpid(), signal.SIGKILL)
        super().backup(target, pages=1, progress=die)
opened = backup.open_for_reading
def open_for_reading(path):
    name = opened(path).execute("PRAGMA database_list").fetchone()[2]
    return sqlite3.connect(name, factory=Connection)
backup.open_for_reading = open_for_reading
"""


@pytest.mark.fault(
    "a backup, or the one before an upgrade, is killed in the middle",
    "no file under its name; the database is untouched, and the next backup is whole")
@pytest.mark.parametrize("work, left", [
    ("from sqrtscale.cli import main; main(['store', 'backup', 'copy.db'])", "copy.db"),
    ("from sqrtscale.store import Store, migrate; Store.open()", "home/backups/*.db"),
], ids=["store backup", "the upgrade at the first start"])
def test_a_backup_that_is_killed_leaves_none_and_the_next_one_is_whole(store, home, tmp_path, work, left):
    stored.calibration(store, name="precious")
    with store._write.begin() as session:
        session.execute(stored_revision("0003"))
    store.close()
    killed = subprocess.run([sys.executable, "-c", KILLED + work], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(left)) == [] and list(tmp_path.rglob(".*.partial"))  # it was under way
    assert names(home / "sqrtscale.db") == {"precious"}


def stored_revision(revision):
    from sqlalchemy import text

    return text(f"UPDATE alembic_version SET version_num = '{revision}'")


@pytest.mark.fault("no space left for a backup", "one line, exit code 1, no file")
def test_a_backup_for_which_there_is_no_space_leaves_none(store, tmp_path):
    for _ in range(20):
        stored.calibration(store)
    store.close()

    def limit():  # as a full disk, for this process alone
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    own = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # which has no space to write, either
    done = subprocess.run([sys.executable, "-m", "sqrtscale", "store", "backup", "copy.db"], cwd=tmp_path, preexec_fn=limit,
                          env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("the database failed: ") and done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


@pytest.mark.fault(
    "`store restore` while the app has the database open",
    "its content is replaced in one transaction; what was there before is kept in `backups/`")
def test_a_restore_brings_the_backup_back_also_into_a_database_in_use_and_keeps_what_was_there(store, home, tmp_path, run):
    stored.calibration(store, name="first")
    run("backup", tmp_path / "copy.db")
    stored.calibration(store, name="second")
    code, out, said = run("restore", tmp_path / "copy.db")
    (former,) = beside(home, "backups/sqrtscale-before-restore-*.db")
    assert (code, said) == (0, "") and str(former) in out
    assert [summary.name for summary in store.summaries()] == ["first"]  # the store that was open all the time
    assert names(former) == {"first", "second"} and former.stat().st_mode & 0o077 == 0
    assert run("restore", former)[0] == 0 and len(store.summaries()) == 2  # and forth again
    assert run("check")[0] == 0


@pytest.mark.fault(
    "something had not ended when the backup was made that is restored",
    "it is INTERRUPTED, and does not start by itself")
def test_what_had_not_ended_when_the_backup_was_made_does_not_start_by_itself(store, tmp_path, run):
    queued, trained = stored.calibration(store, "QUEUED"), stored.calibration(store, "RUNNING")
    assert run("backup", tmp_path / "old.db")[0] == 0
    for id in (queued, trained):
        store.transition(id, "DONE", among=ACTIVE_STATES)
    code, output, _ = run("restore", tmp_path / "old.db")
    assert code == 0 and output.count("it is INTERRUPTED now") == 2
    for id in (queued, trained):
        assert store.get(id).state == "INTERRUPTED" and "backup" in store.get(id).reason


def test_a_restore_is_not_undone_by_the_log_of_what_was_there(store, home, tmp_path, run):
    run("backup", tmp_path / "empty.db")
    with closing(sqlite3.connect(home / "sqrtscale.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calibration").fetchone()
        stored.calibration(store, name="in the log")
        assert (home / "sqrtscale.db-wal").stat().st_size > 0
        assert run("restore", tmp_path / "empty.db")[0] == 0
    store.close()
    with closing(Store.open()) as again:
        assert again.summaries() == []


@pytest.mark.fault(
    "the database is damaged, truncated or gone",
    "`store check` says so; `store restore` moves what is left aside and puts the backup there")
@pytest.mark.parametrize("damage", ["letter", "truncated", "gone"])
def test_a_database_that_is_lost_is_replaced_and_kept_aside(store, home, tmp_path, run, damage):
    stored.calibration(store, name="precious")
    run("backup", tmp_path / "copy.db")
    store.close()
    path = home / "sqrtscale.db"
    if damage == "letter":
        path.write_text("Dear reader, " * 1000)
    elif damage == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.unlink()
    code, out, said = run("restore", tmp_path / "copy.db")
    assert (code, said) == (0, "") and names(path) == {"precious"} and path.stat().st_mode & 0o077 == 0
    kept = [file for file in beside(home, "sqrtscale.db.damaged-*") if not file.name.endswith(("-wal", "-shm"))]
    assert len(kept) == (damage != "gone") and all(str(file) in out for file in kept)


@pytest.mark.fault(
    "the file to restore is damaged, is none of ours, or comes from a newer sqrtscale",
    "refused, the database stays as it was")
@pytest.mark.parametrize("content, said", [
    (b"Dear reader, " * 1000, "file is not a database"),
    (b"", "is no database of sqrtscale"),
    (None, "is no file"),
])
def test_what_is_no_backup_is_not_restored(store, home, tmp_path, run, content, said):
    stored.calibration(store, name="precious")
    if content is not None:
        (tmp_path / "copy.db").write_bytes(content)
    code, out, error = run("restore", tmp_path / "copy.db")
    assert (code, out, error.count("\n")) == (2, "", 1) and said in error
    assert names(home / "sqrtscale.db") == {"precious"} and beside(home, "backups/*") == []


def test_a_backup_of_a_newer_program_is_not_restored(store, home, tmp_path, run):
    run("backup", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        copy.execute("UPDATE alembic_version SET version_num = '9999'")
        copy.commit()
    code, _, said = run("restore", tmp_path / "copy.db")
    assert code == 2 and "was written by a newer sqrtscale (schema 9999" in said


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 2**30), st.binary(min_size=1, max_size=64))
def test_a_damaged_backup_replaces_nothing_or_is_whole_where_it_counts(store, home, tmp_path, capsys, place, junk):
    """Whatever stands in the file: a refusal leaves the database as it was, and what was restored can be opened and checked."""
    if not (tmp_path / "whole.db").exists():
        stored.calibration(store, name="precious")
        main(["store", "backup", str(tmp_path / "whole.db")])
    data = bytearray((tmp_path / "whole.db").read_bytes())
    place %= len(data)
    data[place : place + len(junk)] = junk
    (tmp_path / "copy.db").write_bytes(data)
    code = main(["store", "restore", str(tmp_path / "copy.db")])
    said = capsys.readouterr().err
    assert code in (0, 1, 2) and "Traceback" not in said and said.count("\n") == (code != 0)
    with closing(sqlite3.connect(home / "sqrtscale.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    main(["store", "restore", str(tmp_path / "whole.db")])
    capsys.readouterr()


@pytest.mark.fault("`store restore` while a calibration is active, or trains though the database is lost", "refused, with its id")
def test_nothing_is_restored_while_a_calibration_is_active(store, tmp_path, run):
    run("backup", tmp_path / "copy.db")
    id = stored.calibration(store, "RUNNING")
    code, out, said = run("restore", tmp_path / "copy.db")
    assert (code, out) == (2, "") and f"{id} has not ended" in said and f"sqrtscale runs cancel {id}" in said
    assert store.get(id).state == "RUNNING"


def test_nothing_is_restored_while_a_process_trains_though_the_database_is_lost(store, home, tmp_path, run):
    run("backup", tmp_path / "copy.db")
    id = stored.calibration(store, "RUNNING")
    descriptor = locks.take(locks.alive_lock(id))
    store.close()
    (home / "sqrtscale.db").write_text("Dear reader, " * 1000)
    assert run("restore", tmp_path / "copy.db")[0] == 2
    os.close(descriptor)
    assert run("restore", tmp_path / "copy.db")[0] == 0


def test_what_has_died_does_not_stand_in_the_way(store, tmp_path, run):
    run("backup", tmp_path / "copy.db")
    id = stored.calibration(store, "RUNNING")
    store.set_process(id, host="", boot_id="another", pid=1, pid_started="1")
    assert run("restore", tmp_path / "copy.db")[0] == 0


def test_a_purge_takes_logs_and_locks_with_it_and_leaves_what_is_younger(store, home, run):
    keep, gone = (stored.calibration(store, name=name) for name in ("keep", "gone"))
    for id in (keep, gone):
        locks.take(locks.alive_lock(id))
        (calibration_folder(id) / "train.log").write_text("words")
    store.delete(gone)
    code, _, said = run("purge", "--older-than", 1)
    assert code == 2 and "this would remove 0 deleted calibrations" in said
    assert run("purge", "--older-than", 1, "--yes") == (0, "nothing is deleted for 1 days\n", "")
    with store._write.begin() as session:
        session.execute(update(Calibration).where(Calibration.id == gone).values(deleted_at=stored_days_ago(2)))
    assert "this would remove 1 deleted calibration for good" in run("purge", "--older-than", 1)[2]
    assert run("purge", "--older-than", 1, "--yes") == (0, f"{gone} is removed for good\n", "")
    assert not calibration_folder(gone).exists() and (calibration_folder(keep) / "train.log").exists()
    assert [summary.id for summary in store.summaries()] == [keep] and store.summaries(Filter(deleted=True)) == []


def stored_days_ago(days):
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) - timedelta(days=days)


@pytest.mark.parametrize("days", ["-1", "x", "nan", "9" * 5000, "0.5"])
def test_a_number_of_days_that_is_none(run, days):
    code, out, said = run("purge", f"--older-than={days}", "--yes")
    assert (code, out, said.count("\n")) == (2, "", 1) and said.startswith("--older-than = ")


def test_postgresql_has_tools_of_its_own(postgresql, tmp_path, monkeypatch, run):
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", postgresql.database("for_backup"))
    code, out, said = run("backup", tmp_path / "copy.db")
    assert (code, out, said.count("\n")) == (2, "", 1) and "pg_dump" in said
    (tmp_path / "copy.db").write_text("x")
    code, out, said = run("restore", tmp_path / "copy.db")
    assert (code, out, said.count("\n")) == (2, "", 1) and "pg_restore" in said
    with closing(Store.open()) as store:
        id = stored.calibration(store)
        store.delete(id)
    assert run("check")[0] == 0
    assert run("purge", "--yes") == (0, f"{id} is removed for good\n", "")


def test_a_folder_that_was_copied_is_a_backup_too(store, home, tmp_path, run):
    """Database and log, as a backup program takes them from a machine that lost power."""
    stored.calibration(store, name="precious")
    with closing(sqlite3.connect(home / "sqrtscale.db")) as reader:
        reader.execute("SELECT 1 FROM calibration")
        for ending in ("", "-wal"):
            shutil.copy(f"{home / 'sqrtscale.db'}{ending}", f"{tmp_path / 'copy.db'}{ending}")
    stored.calibration(store, name="later")
    assert run("restore", tmp_path / "copy.db")[0] == 0
    assert [summary.name for summary in store.summaries()] == ["precious"]
