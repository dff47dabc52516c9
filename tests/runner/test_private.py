"""A home is its owner's alone: modes of everything in it under a generous umask, and a second user of the machine who tries."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from databases import missing

from runner.conftest import plan
from runner.test_runner import ended, running
from sqrtscale import home as home_module
from sqrtscale import runner
from sqrtscale.gpu import memory as gpu_memory
from sqrtscale.home import CLOSED, owner_only, private_folder
from sqrtscale.store import Store
from sqrtscale.tasks.own import Facts, OwnFile, registry

NOBODY = 65534


@pytest.fixture(autouse=True)
def generous():
    """The usual umask: others may read what is made."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def others_may(home):
    """What of the home's files and folders anybody but the owner may touch, with how many there are."""
    paths = [home, *home.rglob("*")]
    return [path for path in paths if path.stat().st_mode & 0o077], {path.name for path in paths}


@pytest.fixture
def second_user(tmp_path):
    """``second_user(*command)`` runs it as nobody, who may enter every folder on the way to this test's."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        missing("root, who can become another user,")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)

    def run(*command):
        return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *map(str, command)],
                              capture_output=True, text=True, check=False)

    return run


def test_everything_that_a_calibration_makes_is_its_owners_alone(store, home):
    id = runner.submit(store, plan(samples=6_400_000), "first")
    running(store, id)
    open_to_others, names = others_may(home)
    assert open_to_others == []
    assert {"sqrtscale.db", "sqrtscale.db-wal", "sqrtscale.db-shm", "alive.lock", "train.log", "supervisor.log", "reserve",
            "locks", "cpu.lock", id} <= names
    runner.cancel(store, id)
    ended(store, id)
    assert others_may(home)[0] == []


def test_another_user_reads_nothing(store, home, tmp_path, second_user):
    (tmp_path / "public").write_text("for everybody")
    id = store.create(plan(), "secret")
    database = home / "sqrtscale.db"
    assert second_user("cat", tmp_path / "public").stdout == "for everybody"  # so that what follows is the home's doing
    for command in (["ls", home], ["cat", database], ["cat", f"{database}-wal"], ["ls", home / "calibrations" / id]):
        done = second_user(*command)
        assert done.returncode != 0 and done.stdout == "" and "Permission denied" in done.stderr
    assert second_user("touch", home / "new").returncode != 0


def test_a_database_elsewhere_is_private_too_and_its_folder_is_left_alone(tmp_path, second_user):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    folder.chmod(0o755)
    store = Store.open(f"sqlite:///{folder / 'other.db'}")
    store.create(plan(), "secret")
    assert second_user("ls", folder).stdout.split()[0] == "other.db" and folder.stat().st_mode & 0o777 == 0o755
    for path in folder.iterdir():
        assert "Permission denied" in second_user("cat", path).stderr
    store.close()


FOREIGN = ("notes.txt", "backups/photos.tar", "locks/door", "tasks/list.txt", "errors/mine.log")
OURS = ("sqrtscale.db", "gpus.json", "calibrations/abc/train.log", "locks/cpu.lock", "tasks/mine.json", "errors/2026.txt",
        "backups/sqrtscale-0003-x.db")


def modes(home, names):
    return {name: (home / name).stat().st_mode & 0o7777 for name in names}


@pytest.fixture
def from_before(home, tmp_path):
    """A folder open to all, in which an earlier version has worked, with files of other programs."""
    for name in (*FOREIGN, *(set(OURS) - {"sqrtscale.db"})):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("words")
    Store.open().close()
    (home / CLOSED).unlink()
    for path in home.rglob("*"):
        path.chmod(0o2755 if path.is_dir() else 0o644)
    (tmp_path / "outside").write_text("not ours")
    (home / "tasks" / "link.json").symlink_to(tmp_path / "outside")
    home.chmod(0o3777)
    home_module._close_former.cache_clear()
    return home


def test_what_is_not_ours_in_a_chosen_home_keeps_its_mode(from_before, tmp_path):
    Store.open().close()
    folders = ("backups", "locks", "tasks", "errors")
    theirs = modes(from_before, (*FOREIGN, *folders, "."))
    assert theirs == dict.fromkeys(FOREIGN, 0o644) | dict.fromkeys(folders, 0o2755) | {".": 0o3777}
    assert (tmp_path / "outside").stat().st_mode & 0o777 == 0o644
    closed = [name.removesuffix("/train.log") for name in OURS]
    assert modes(from_before, closed) == dict.fromkeys(closed, 0o600) | {"calibrations/abc": 0o2700}


def test_what_an_owner_opens_later_stays_open(from_before):
    Store.open().close()
    for path in from_before.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    home_module._close_former.cache_clear()  # as in another process
    Store.open().close()
    assert {mode & 0o044 for mode in modes(from_before, OURS).values()} == {0o044}


def test_the_default_home_is_closed_itself(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "sqrtscale"
    folder.mkdir(parents=True)
    monkeypatch.delenv("SQRTSCALE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder.parent))
    monkeypatch.setattr(home_module, "INSTALLED_APP", home_module.app_folder())
    private_folder(folder / "locks")
    assert modes(folder.parent, ("sqrtscale", ".")) == {"sqrtscale": 0o700, ".": 0o755}


def test_tasks_and_what_is_known_of_gpus_are_private_too(home):
    """Each is the first to make the home."""
    gpu_memory.keep("devices", "x", {})
    assert others_may(home) == ([], {home.name, "gpus.json", CLOSED})
    shutil.rmtree(home)
    registry.add(OwnFile("mine", "/nowhere/mine.py", "text", Facts(1, 2, 3)))
    assert others_may(home)[0] == [] and "mine.json" in others_may(home)[1]


def test_folders_above_the_home_keep_the_usual_mode(home, monkeypatch):
    inside = home / "data" / "sqrtscale"
    monkeypatch.setenv("SQRTSCALE_HOME", str(inside))
    made = private_folder(inside / "a" / "b")
    with open(made / "file", "w", opener=owner_only) as file:
        file.write("x")
    found = {path.name: path.stat().st_mode & 0o777 for path in (inside.parent, inside, made.parent, made, made / "file")}
    assert found == {"data": 0o755, "sqrtscale": 0o700, "a": 0o700, "b": 0o700, "file": 0o600}
