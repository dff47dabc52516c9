"""A calibration trains with what its submitter had: variables, interpreter, working folder, database."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from runner.conftest import plan
from sqrtscale import runner
from sqrtscale.home import private_folder
from sqrtscale.runner import election, locks, submitter
from sqrtscale.runner.launch import LocalLauncher
from sqrtscale.store import Store

PROGRAM = """#!{python}
import json, os, sys
open({told!r}, "w").write(json.dumps([dict(os.environ), os.getcwd(), sys.argv[1:]]))
"""


THEIRS = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "MKL_CBWR": "COMPATIBLE", "KMP_BLOCKTIME": "0",
          "CUDA_VISIBLE_DEVICES": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "NVIDIA_TF32_OVERRIDE": "0",
          "HIP_VISIBLE_DEVICES": "1", "ROCR_VISIBLE_DEVICES": "0,1", "HSA_OVERRIDE_GFX_VERSION": "11.0.0"}


SECRETS = ("HF_TOKEN", "HF_API_TOKEN", "NVIDIA_API_KEY", "TORCH_HUB_PASSWORD", "NVIDIA_CLIENT_SECRET", "OTHER_PASSWORD")


def start_elsewhere(tmp_path, monkeypatch) -> tuple[dict[str, str], str, list[str]]:
    """What a supervisor is started with that is submitted in one process and started by another one in another folder."""
    program, told, mine, other = (tmp_path / name for name in ("python", "told.json", "mine", "other"))
    mine.mkdir()
    other.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, told=str(told)))
    program.chmod(0o700)
    with monkeypatch.context() as there:
        there.chdir(mine)
        there.setattr(sys, "executable", str(program))
        for name, value in (THEIRS | {"SQRTSCALE_TIMEOUT_S": "77", "PYTHONPATH": "modules", "SQRTSCALE_SNAPSHOT_S": "",
                                      **dict.fromkeys(SECRETS, "secret")}).items():
            there.setenv(name, value)
        there.setenv("SQRTSCALE_DATABASE_URL", "postgresql://user:secret@host/name")
        runner._prepare("abc")
    monkeypatch.chdir(other)
    monkeypatch.setenv("SQRTSCALE_HOME", "../home")  # the same one, named from here
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", "sqlite:///runs.db")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "8")
    monkeypatch.setenv("SQRTSCALE_CUDA_GRAPHS", "off")  # the submitter has none
    assert LocalLauncher().start("abc").wait(60) == 0
    return tuple(json.loads(told.read_text()))


def test_it_has_the_variables_the_interpreter_and_the_folder_of_its_submitter_and_the_store_of_its_starter(
        home, tmp_path, monkeypatch):
    variables, folder, arguments = start_elsewhere(tmp_path, monkeypatch)
    wanted = THEIRS | {"SQRTSCALE_TIMEOUT_S": "77", "SQRTSCALE_SNAPSHOT_S": "", "SQRTSCALE_DATABASE_URL": f"sqlite:///{tmp_path}/other/runs.db"}
    assert {name: variables.get(name) for name in wanted} == wanted and "SQRTSCALE_CUDA_GRAPHS" not in variables
    assert variables["PYTHONPATH"].split(os.pathsep)[1] == str(tmp_path / "mine" / "modules")
    assert Path(variables["SQRTSCALE_HOME"]).resolve() == home and folder == str(tmp_path / "mine")
    assert arguments[-2:] == ["sqrtscale.runner", "abc"]
    kept = submitter.submitter_file("abc")
    assert "secret" not in kept.read_text() and kept.stat().st_mode & 0o777 == 0o600


def test_where_the_submitters_interpreter_and_folder_are_gone_those_of_the_starter_serve(home, tmp_path, monkeypatch):
    with monkeypatch.context() as there:
        there.setattr(sys, "executable", str(tmp_path / "gone" / "python"))
        (tmp_path / "short").mkdir()
        there.chdir(tmp_path / "short")
        there.setenv("OMP_NUM_THREADS", "3")
        runner._prepare("abc")
    (tmp_path / "short").rmdir()
    known = submitter.submitter("abc")
    assert known and (known.interpreter, known.folder, known.variables["OMP_NUM_THREADS"]) == (sys.executable, ".", "3")
    submitter.submitter_file("abc").write_text("{")
    private_folder(home / "calibrations" / "of an earlier version")
    assert submitter.submitter("abc") is submitter.submitter("of an earlier version") is None


def test_what_another_database_waits_for_keeps_nothing_of_this_one_in_the_queue(home, store, tmp_path, monkeypatch):
    """One home, two databases: the scheduler of the first has work for hours."""
    assert election.scheduler_lock() == home / "locks" / "scheduler.lock"
    scheduler_of_the_first = locks.take(election.scheduler_lock())
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", f"sqlite:///{tmp_path}/second.db")
    monkeypatch.setenv("SQRTSCALE_TIMEOUT_S", "never")  # so that it ends before it trains
    second = Store.open()
    try:
        record = runner.wait(second, runner.submit(second, plan()))
        assert record.state == "FAILED" and "SQRTSCALE_TIMEOUT_S = 'never'" in record.reason
    finally:
        second.close()
        os.close(scheduler_of_the_first)
