"""Schema changes: drift, backups, newer databases, many processes at the first start."""

import multiprocessing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Store, StoreError
from sqrtscale.store.connect import connect, refuse_network
from sqrtscale.store.connect import database_url as chosen_url
from sqrtscale.store.migrate import HEAD, SCRIPTS
from sqrtscale.store.models import Base


def plan():
    return make_plan("digits", TrainingConfig("adam", 8), 64)


def test_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_models_and_migrations_agree(database_url):
    Store.open(database_url).close()
    with connect(chosen_url(database_url)).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_newer_database_is_left_alone(database_url):
    store = Store.open(database_url)
    store.create(plan(), "from the future")
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreError, match=r"newer sqrtscale.*schema 9999.*upgrade sqrtscale"):
        Store.open(database_url)


def _open(url):
    Store.open(url).close()


@pytest.mark.process
def test_many_processes_may_open_a_new_database_at_once(database_url):
    context = multiprocessing.get_context("spawn")
    openers = [context.Process(target=_open, args=(database_url,)) for _ in range(5)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(120)
        assert opener.exitcode == 0
    assert Store.open(database_url).summaries() == []


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "letter.db").write_text("Dear reader, " * 1000)
    with pytest.raises(StoreError, match=r"letter\.db.*not a database"):
        Store.open(f"sqlite:///{tmp_path / 'letter.db'}")


@pytest.mark.parametrize("url, message", [
    ("nonsense", "the database URL cannot be read"),
    ("sqlite://", "a database in memory"),
    ("sqlite:////proc/nowhere/x.db", "cannot make the folder of the database /proc/nowhere/x.db"),
    ("martian://host/name", "needs a driver that is not installed"),
    ("postgresql+psycopg://nobody@127.0.0.1:1/none", "cannot open the database"),
])
def test_a_database_that_cannot_be_used_is_named(url, message):
    with pytest.raises(StoreError, match=message):
        Store.open(url)


def test_network_file_systems_are_refused(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"disk / ext4 rw 0 0\nserver:/x {tmp_path}/far nfs4 rw 0 0\n")
    refuse_network(tmp_path / "near" / "a.db", mounts)
    with pytest.raises(StoreError, match=r"network file system \(nfs4\).*SQRTSCALE_HOME"):
        refuse_network(tmp_path / "far" / "a.db", mounts)


def test_default_is_sqlite_in_the_home_and_the_environment_overrides(home, tmp_path, monkeypatch):
    assert chosen_url().database == str(home / "sqrtscale.db")
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert chosen_url().database == f"{tmp_path}/other.db"
    Store.open().close()
    assert (tmp_path / "other.db").exists()
