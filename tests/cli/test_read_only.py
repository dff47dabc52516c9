"""A home and a database that can only be read: results are read all the same, and nothing is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
import stored
from databases import missing

from sqrtscale.store import Store

PAGE = """
import sys
from streamlit.testing.v1 import AppTest
from sqrtscale.home import app_folder
app = AppTest.from_file(str(app_folder() / "app.py"), default_timeout=120).run()
for name, value in (pair.split("=") for pair in sys.argv[1:]):
    app.query_params[name] = value
app.switch_page("pages/results.py").run()
print([element.value for element in app.error], [element.value for element in app.exception])
print(*[element.value for element in (*app.title, *app.markdown, *app.caption)])
print(*[element.value.to_string() for element in app.dataframe])
"""


@pytest.fixture
def as_a_reader(home, tmp_path):
    """``as_a_reader(*arguments)`` runs Python on a home of which not even its owner may write anything."""
    prefix = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            missing("setpriv")
        prefix = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]

    def run(*arguments):
        for path in (*home.rglob("*"), home):
            path.chmod(path.stat().st_mode & 0o555)
        before = {path: path.stat().st_mtime_ns for path in (home, *home.rglob("*"))}
        done = subprocess.run([*prefix, sys.executable, *arguments], text=True, capture_output=True, check=False, cwd=tmp_path)
        assert {path: path.stat().st_mtime_ns for path in (home, *home.rglob("*"))} == before
        return done

    yield run
    for path in (home, *home.rglob("*")):
        path.chmod(path.stat().st_mode | 0o700)


@pytest.fixture(params=["closed", "with a log"])
def results(request, home):
    """Two calibrations, one of which seems to run; what was last written may stand in the log that a lost machine left."""
    store = Store.open()
    ended, lost = stored.calibration(store, name="an ended one"), stored.calibration(store, "RUNNING", name="a lost one")
    store.set_process(lost, host="", boot_id="another", pid=1, pid_started="1")
    if request.param == "closed":
        store.close()
    yield ended, lost
    store.close()


@pytest.mark.fault("home and database can only be read", "lists, results and exports can be read; nothing is written")
@pytest.mark.process
def test_the_command_line_reads(results, as_a_reader):
    ended, lost = results
    listed = as_a_reader("-m", "sqrtscale", "runs", "list")
    assert (listed.returncode, listed.stderr) == (0, "") and ended in listed.stdout and lost in listed.stdout
    for action in (["show", ended], ["show", ended, "--json"], ["export", ended, "--format", "html"], ["compare", ended, lost]):
        done = as_a_reader("-m", "sqrtscale", "runs", *action)
        assert (done.returncode, done.stderr) == (0, "") and ended in done.stdout
    assert as_a_reader("-m", "sqrtscale", "store", "check").returncode == 0


@pytest.mark.process
def test_a_backup_of_it_can_be_made(results, as_a_reader, tmp_path):
    done = as_a_reader("-m", "sqrtscale", "store", "backup", tmp_path / "copy.db")
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM calibration").fetchone() == (2,)


@pytest.mark.process
@pytest.mark.parametrize("action", [["delete"], ["tag"], ["cancel"]])
def test_what_would_write_says_that_it_cannot(results, as_a_reader, action):
    ended, lost = results
    id, words = (lost if action == ["cancel"] else ended), ["x"] * (action == ["tag"])
    done = as_a_reader("-m", "sqrtscale", "runs", *action, id, *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "readonly database" in done.stderr


@pytest.mark.process
def test_the_pages_read(results, as_a_reader):
    ended, _ = results
    listed = as_a_reader("-c", PAGE)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.startswith("[] []\n") and "an ended one" in listed.stdout and "a lost one" in listed.stdout
    shown = as_a_reader("-c", PAGE, f"id={ended}")
    assert shown.stdout.startswith("[] []\n") and "an ended one" in shown.stdout


@pytest.mark.process
def test_one_of_an_older_schema_cannot_be_upgraded_and_says_so(home, as_a_reader):
    Store.open().close()
    with closing(sqlite3.connect(home / "sqrtscale.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '0003'")
        database.commit()
    done = as_a_reader("-m", "sqrtscale", "runs", "list")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "older sqrtscale and can only be read" in done.stderr
