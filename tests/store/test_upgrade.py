"""From the schema of today to one of tomorrow: with a table rebuilt, a column added, and an upgrade that fails."""

import shutil
import sqlite3
import subprocess
import sys

import pytest
import stored
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text

from sqrtscale.plan import make_plan
from sqrtscale.report import judged
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import ACTIVE_STATES, Filter, Store, StoreError, migrate
from sqrtscale.training.events import Measured

# A batch operation makes SQLite copy the table and drop the old one, to which runs, chunks and events refer.
NEXT = '''
"""Tomorrow's schema."""
import sqlalchemy as sa
from alembic import op

revision = "tomorrow"
down_revision = "{head}"

def upgrade():
    with op.batch_alter_table("calibration", recreate="always" if op.get_bind().dialect.name == "sqlite" else "auto") as table:
        table.add_column(sa.Column("colour", sa.String(20), nullable=False, server_default="blue"))
    {more}
'''


@pytest.fixture
def tomorrow(tmp_path, monkeypatch):
    """A program with one migration more; ``more`` is what that migration does besides."""
    def install(more=""):
        scripts = tmp_path / "migrations"
        shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
        (scripts / "versions" / "tomorrow.py").write_text(NEXT.format(head=migrate.HEAD, more=more or "pass"))
        monkeypatch.setattr(migrate, "SCRIPTS", scripts)
        monkeypatch.setattr(migrate, "HEAD", "tomorrow")
    return install


@pytest.fixture
def old(database_url):
    """The id of a calibration with points, stored by the program of today."""
    store = Store.open(database_url)
    id = store.create(make_plan("digits", TrainingConfig("adam", 8), 64), "precious")
    store.write_points(id, [Measured("base", 0, 8, {"val_loss": 1.5})])
    store.add_event(id, "kept", {})
    store.close()
    return id


def columns(store):
    return {column["name"] for column in inspect(store._engine).get_columns("calibration")}


def backups(tmp_path):
    return list(tmp_path.glob("**/backups/*.db"))


def test_an_upgrade_keeps_everything_and_backs_up_a_file(database_url, old, tomorrow, tmp_path):
    today = migrate.HEAD
    tomorrow()
    store = Store.open(database_url)
    assert "colour" in columns(store)
    record = store.get(old)
    assert record.name == "precious" and {run.state for run in record.runs} == {"QUEUED", "RUNNING"}
    assert store.curves(old)["value"].tolist() == [1.5] and len(store.events(old)) == 1
    if database_url.startswith("sqlite"):
        (backup,) = backups(tmp_path)
        assert f"-{today}-" in backup.name
        with sqlite3.connect(backup) as copy:
            assert copy.execute("SELECT name FROM calibration").fetchone() == ("precious",)
            assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == (today,)
            assert "colour" not in {row[1] for row in copy.execute("PRAGMA table_info(calibration)")}
    # Rows still belong together: what is purged takes its runs, points and events with it.
    store.transition(old, "DONE", among=ACTIVE_STATES)
    store.delete(old)
    assert store.purge() == [old]
    with store._engine.connect() as connection:
        counts = [connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in ("run", "chunk", "event")]
    assert counts == [0, 0, 0]
    store.close()
    Store.open(database_url).close()
    assert len(backups(tmp_path)) <= 1  # opening what is up to date makes none


def take_back(store, revision):
    """Undo the newer migrations, so that the database is as an earlier program left it."""
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    with store._engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


LATER = ("outcome", "answer", "ends", "executor", "lr", "scaled_lr", "difference", "low", "high", "margin", "noise_scale",
         "noise_low", "noise_high", "course", "judging", "kind", "resume_after_restart")


def everything(store):
    """Every row of every table, without what later schemas added."""
    with store._engine.connect() as connection:
        return {table: [{key: value for key, value in row.items() if key not in LATER}
                        for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]
                for table in ("calibration", "run", "event", "chunk")}


def test_what_the_first_schema_stored_is_kept_and_judged_when_it_is_opened(database_url):
    store = Store.open(database_url)
    id = stored.calibration(store, name="precious")
    store.add_event(id, "kept", {})
    ends = str(store.summaries()[0].final)  # as text, for NaN differs from itself
    take_back(store, "0001")
    before = everything(store)
    assert not {*LATER} & columns(store) and before["chunk"] and before["event"]
    store.close()
    store = Store.open(database_url)
    assert everything(store) == before
    record, (listed,) = store.get(id), store.summaries()
    assert (record.outcome, record.answer, listed.outcome, listed.answer) == ("", "", "", "")
    assert str(listed.final) == ends and listed.final["base"]["val_loss"][2] == 2
    assert (listed.lr, listed.scaled_lr) == (2e-3, pytest.approx(2e-3 * 8**0.5, rel=1e-15))  # from the plan
    assert store.unjudged() == [id] and judged(store, record) == store.get(id) and store.unjudged() == []
    (listed,) = store.summaries(Filter(text="matches"))
    assert listed.outcome == "matches" and listed.answer.startswith("Yes: ") and everything(store) == before
    store.close()


NOW = {"engine": 5, "python": "3", "device": "cpu", "device_name": "a processor", "threads": 16,
       "packages": {"torch": "2", "numba": "1", "scipy": "1"}}


@pytest.mark.parametrize("changes, size, executor", [
    ({}, "tiny", "compiled"), ({}, "small", ""), ({"threads": 2}, "small", "compiled"), ({"engine": 4}, "tiny", ""),
    ({"packages": {"torch": "2", "scipy": "1"}}, "large", "eager"), ({"device": "cuda:0,cuda:1"}, "large", "captured"),
])
def test_what_carried_out_the_runs_of_before_is_told_from_where_they_were_trained(database_url, changes, size, executor):
    """On 16 cores a few wide models went through autograd and many did not, which nobody noted: such runs stand for no others."""
    plan = make_plan("digits", TrainingConfig("adam", 8), 64, seeds=1, samples=64 * 24, start="scratch", size=size)
    store = Store.open(database_url)
    environment = NOW | changes
    id = stored.calibration(store, chosen=plan, environment=environment)
    take_back(store, "0002")
    assert "executor" not in {column["name"] for column in inspect(store._engine).get_columns("run")}
    store.close()
    store = Store.open(database_url)
    assert {run.executor for run in store.get(id).runs} == {executor} and store.get(id).executors == executor
    assert store.get(id).environment == environment
    for name in ("compiled", "eager", "captured"):
        again = store.create(plan)
        store.set_environment(again, environment | {"executor": name})
        assert store.reuse(again) == (dict.fromkeys(plan.runs, id) if name == executor else {})
        store.delete(again)
    store.close()


def test_an_upgrade_that_fails_changes_nothing(database_url, old, tomorrow, monkeypatch):
    with monkeypatch.context():
        tomorrow('op.execute("INSERT INTO nowhere VALUES (1)")')
        with pytest.raises(StoreError, match=r"cannot open the database .*nowhere"):
            Store.open(database_url)
        monkeypatch.undo()
    store = Store.open(database_url)
    assert "colour" not in columns(store)
    assert store.get(old).name == "precious" and len(store.curves(old)) == 1
    store.close()


def test_an_upgrade_that_would_lose_a_row_is_refused(tmp_path, tomorrow):
    url = f"sqlite:///{tmp_path / 'some.db'}"
    store = Store.open(url)
    store.create(make_plan("digits", TrainingConfig("adam", 8), 64))
    store.close()
    tomorrow('op.execute("DELETE FROM calibration")')
    with pytest.raises(StoreError, match="was not upgraded: a row of table run would refer to a missing row of calibration"):
        Store.open(url)
    with sqlite3.connect(tmp_path / "some.db") as left:
        assert left.execute("SELECT count(*) FROM calibration").fetchone() == (1,)


def test_the_first_start_says_nothing_and_needs_no_file_where_it_runs(tmp_path):
    code = (f"from sqrtscale.store import Store; Store.open('sqlite:///{tmp_path}/quiet.db').close();"
            "import logging; assert not logging.root.handlers and logging.root.level == logging.WARNING")
    (tmp_path / "empty").mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "empty", capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((tmp_path / "empty").iterdir()) == []
