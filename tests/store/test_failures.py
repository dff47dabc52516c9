"""What the store says when a disk is full, a file read-only, a chunk damaged; and text and numbers that databases refuse."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.exc import OperationalError

from sqrtscale.plan import make_plan
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import ACTIVE_STATES, DamagedChunk, Filter, Store, StoreError, connect
from sqrtscale.store.models import Chunk
from sqrtscale.training.events import Measured


def plan():
    return make_plan("digits", TrainingConfig("adam", 8), 64, seeds=2, samples=640)


@pytest.mark.parametrize("pragma, message", [
    ("max_page_count=1", "database or disk is full: {file}"),  # a full disk without filling one
    ("query_only=ON", "attempt to write a readonly database: {file}"),
])
def test_a_file_that_cannot_be_written_is_named(tmp_path, pragma, message):
    file = tmp_path / "some.db"
    store = Store.open(f"sqlite:///{file}")
    id = store.create(plan())
    store._engine.dispose()  # connections made from here on are limited
    event.listen(store._engine, "connect", lambda connection, record: connection.execute(f"PRAGMA {pragma}"))
    with pytest.raises(OperationalError) as failed:
        for _ in range(100):
            store.create(plan(), "x" * 200)
    assert str(failed.value.orig) == message.format(file=file) and str(file) in str(failed.value)
    assert store.get(id).state == "QUEUED"  # reading goes on
    store.close()


def test_a_folder_that_takes_no_file_is_named():
    with pytest.raises(StoreError, match=r"cannot open the database sqlite:////proc/x\.db: unable to open database file"):
        Store.open("sqlite:////proc/x.db")


def test_a_link_to_a_network_file_system_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"disk / ext4 rw 0 0\nserver:/x {tmp_path}/far nfs4 rw 0 0\n")
    with pytest.raises(StoreError, match="network file system"):
        connect.refuse_network(tmp_path / "link" / "a.db", mounts)


def test_a_damaged_chunk_is_named_to_readers_and_writers(store):
    id = store.create(plan())
    store.write_points(id, [Measured("scaled", 1, 0, {"val_loss": 1.0})])
    with store._write.begin() as session:
        session.execute(update(Chunk).values(data=b"\x01" + b"junk" * 10))
    named = f"of the curve val_loss of arm scaled, seed 1, in calibration {id} cannot be read: its checksum is wrong"
    with pytest.raises(DamagedChunk, match=f"piece 0 {named}"):
        store.curves(id)
    with pytest.raises(DamagedChunk, match=f"the last {named}"):
        store.write_points(id, [Measured("scaled", 1, 8, {"val_loss": 1.0})])
    assert len(store.summaries()) == 1  # which reads no chunk


def test_numbers_that_json_lacks_come_back(store):
    odd = {"loss": math.inf, "more": [-math.inf, 1, {"x": math.nan}], "words": "nan"}
    id = store.create(plan())
    store.set_environment(id, odd)
    store.add_event(id, "odd", odd)
    store.write_points(id, [Measured("base", 0, 0, {"val_loss": -math.inf, "val_accuracy": math.nan})])
    for found in (store.get(id).environment, store.events(id)[0][2]):
        assert found["loss"] == math.inf and found["more"][:2] == [-math.inf, 1] and found["words"] == "nan"
        assert math.isnan(found["more"][2]["x"])
    run = next(run for run in store.get(id).runs if (run.arm, run.seed) == ("base", 0))
    assert run.final["val_loss"] == -math.inf and math.isnan(run.final["val_accuracy"])
    with store._engine.connect() as connection:  # valid JSON, also for the database's own functions
        of = "json_extract(data, '$.words')" if connection.dialect.name == "sqlite" else "data::jsonb ->> 'words'"
        assert connection.scalar(text(f"SELECT {of} FROM event")) == "nan"


def test_text_that_databases_refuse_is_cleaned(store):
    bad = "a\0b\udc80"
    id = store.create(plan(), bad)
    assert store.get(id).name == "ab?"
    store.rename(id, bad + "x" * 300)
    assert store.set_note(id, bad, 0) and store.get(id).note == "ab?"
    assert len(store.get(id).name) == 200 and [one.id for one in store.summaries(Filter(text="ab\0"))] == [id]
    store.end_run(id, "base", 0, "DIVERGED", bad)
    store.transition(id, "FAILED", among=ACTIVE_STATES, reason=bad)
    assert {run.reason for run in store.get(id).runs} == {"ab?"} and store.get(id).reason == "ab?"


def test_a_measurement_of_one_metric_keeps_the_last_of_the_others(store):
    id = store.create(plan())
    store.write_points(id, [Measured("base", 0, 0, {"train_loss": 2.0, "val_loss": 1.0})])
    store.write_points(id, [Measured("base", 0, 8, {"train_loss": 3.0})])
    run = next(run for run in store.get(id).runs if (run.arm, run.seed) == ("base", 0))
    assert run.final == {"train_loss": 3.0, "val_loss": 1.0} and run.best == {"train_loss": 2.0, "val_loss": 1.0}


def test_a_refused_batch_leaves_nothing_behind(store):
    id = store.create(plan())
    with pytest.raises(LookupError, match=f"calibration {id} has no run of arm martian with seed 0"):
        store.write_points(id, [Measured("base", 0, 0, {"val_loss": 1.0}), Measured("martian", 0, 0, {"val_loss": 1.0})])
    assert store.curves(id).empty and {run.state for run in store.get(id).runs} == {"QUEUED"}


def test_a_locked_database_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(connect, "BUSY_TIMEOUT_MS", 0)
    store = Store.open(f"sqlite:///{tmp_path / 'some.db'}")
    id = store.create(plan())
    other = store._engine.connect()
    other.exec_driver_sql("SELECT 1")  # BEGIN IMMEDIATE
    pauses = []
    monkeypatch.setattr(time, "sleep", lambda seconds: pauses.append(seconds) or other.close())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(store.rename, id, "at last").result(60)
    assert len(pauses) == 1 and store.get(id).name == "at last"
    store.close()


@pytest.mark.parametrize("by", ["URL", "PGOPTIONS"])
def test_who_waits_for_a_word_looks_into_the_same_schema_as_who_trains(postgresql, monkeypatch, by):
    url = postgresql.database(f"schema_{by.lower()}")
    with closing(Store.open(url)) as store, store._engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA mine"))
    if by == "URL":
        url += "?options=-csearch_path%3Dmine"
    else:
        monkeypatch.setenv("PGOPTIONS", "-csearch_path=mine")
    with closing(Store.open(url)) as training:
        id = training.create(make_plan("digits", TrainingConfig("adam", 8), 64), "mine")
    with closing(Store.open(url, prompt=True)) as waiting, waiting._engine.connect() as connection:
        assert [summary.id for summary in waiting.summaries()] == [id]
        assert connection.scalar(text("SHOW lock_timeout")) == "4s"


def test_a_limit_for_locks_that_was_chosen_stands(postgresql):
    url = postgresql.database("chosen_limit") + "?options=-clock_timeout%3D7s"
    with closing(Store.open(url, prompt=True)) as waiting, waiting._engine.connect() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "7s"
