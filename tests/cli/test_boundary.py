"""The last boundary of the command line: whatever goes wrong is one line, with a code, and never a traceback on the terminal."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys

import pytest
import stored

from sqrtscale import __version__
from sqrtscale.cli import build_parser, main
from sqrtscale.cli.shared import number
from sqrtscale.store import Store

LONG = "9" * 5000
REQUIRED = {"calibrate": ["--task", "digits"], "transfer-checkpoint": ["none.pt", "new.pt"], "stages": ["--stage", "256:1000"],
            "scale": ["--target", "1024"], "check": ["--target", "1024"], "store purge": ["--yes"]}
BASE = ["--optimizer", "adam", "--lr", "1e-3"]
PARTS = ["--per-device", "8", "--accumulation", "1", "--devices", "1"]


def numbers():
    """(command, option) of everything on the command line that takes a number."""
    def walk(parser, words):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, sub in action.choices.items():
                    yield from walk(sub, [*words, name])
            elif action.type is number and action.option_strings:
                yield " ".join(words), action.option_strings[-1]

    return sorted(set(walk(build_parser(), [])))


@pytest.mark.parametrize("command, option", numbers())
def test_a_number_of_5000_digits_is_refused_wherever_one_is_taken(capsys, command, option):
    given = REQUIRED.get(command, [])
    if command in ("scale", "check", "stages"):
        given = [*given, *BASE, *(PARTS if option in PARTS else ["--batch", "256"])]
    code = main([*command.split(), *given, option, LONG])
    out, said = capsys.readouterr()
    assert (code, out, said.count("\n")) == (2, "", 1) and len(said) < 1000


def test_there_are_such_options():
    assert len(numbers()) > 20 and ("app", "--port") in numbers()


def run(*arguments, timeout=60, **streams):
    """The program in a process of its own, as a shell starts it."""
    return subprocess.run([sys.executable, "-m", "sqrtscale", *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                          check=False, timeout=timeout, **({"capture_output": True} | streams))


@pytest.mark.fault(
    "an error that nobody expected, on the command line",
    "one line, exit code 1; the traceback is in `errors/` of the home, and the line names the file")
def test_an_error_that_nobody_expected_is_one_line_and_its_traceback_is_kept(home, capsys, monkeypatch):
    monkeypatch.setattr("sqrtscale.store.store.Store.summaries", lambda *arguments: {}["nothing\nhere"])
    code = main(["runs", "list"])
    out, said = capsys.readouterr()
    (file,) = (home / "errors").iterdir()
    words = "unexpected KeyError: \"'nothing\\\\nhere'\"; please report it with its traceback, which is in"
    assert (code, out, said) == (1, "", f"{words} {file}\n")
    kept = file.read_text()
    assert kept.startswith("sqrtscale ") and "Traceback (most recent call last)" in kept and "KeyError: 'nothing\\nhere'" in kept
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700


def test_where_no_traceback_can_be_kept_that_is_said(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SQRTSCALE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", f"sqlite:///{tmp_path / 'x.db'}")
    monkeypatch.setattr("sqrtscale.store.store.Store.summaries", lambda *arguments: 1 / 0)
    assert main(["runs", "list"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("unexpected ZeroDivisionError: ") and "could not be kept in" in said and said.count("\n") == 1


def test_a_traceback_is_kept_where_the_package_was_never_installed(home, capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.Distribution.from_name", lambda name: {}[name])
    monkeypatch.setattr("sqrtscale.store.store.Store.summaries", lambda *arguments: 1 / 0)
    assert main(["runs", "list"]) == 1
    (file,) = (home / "errors").iterdir()
    assert str(file) in capsys.readouterr().err and f"sqrtscale {__version__}, Python " in file.read_text()


@pytest.mark.parametrize("package", ["sqlalchemy", "alembic.config", "numpy"])
def test_a_dependency_that_is_missing_is_named_with_what_to_do(home, package):
    without = f"import sys; sys.modules[{package!r}] = None; from sqrtscale.cli import main; sys.exit(main(['runs', 'list']))"
    done = subprocess.run([sys.executable, "-c", without], text=True, capture_output=True, check=False)
    said = f"the package {package.partition('.')[0]} is missing: install sqrtscale with its dependencies (pip install .)\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said) and not (home / "errors").exists()


@pytest.mark.fault(
    "the reader of standard output has gone (`head`)",
    "the command ends in silence; standard output that is closed is one line, exit code 2")
def test_standard_output_that_is_closed_is_one_line():
    done = subprocess.run(["sh", "-c", f'"{sys.executable}" -m sqrtscale runs list >&-'], text=True, stderr=subprocess.PIPE,
                          check=False)
    assert (done.returncode, done.stderr) == (2, "standard output is closed: send it to a file, or to /dev/null\n")


@pytest.fixture
def finished():
    with_points = Store.open()
    yield stored.calibration(with_points)
    with_points.close()


@pytest.mark.parametrize("form", ["csv", "json", "html", "md"])
def test_a_pipe_with_a_name_is_not_written_to(finished, tmp_path, form):
    os.mkfifo(tmp_path / "pipe")
    done = run("runs", "export", finished, "--format", form, "--output", tmp_path / "pipe")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.endswith("cannot be written: File exists; give a new file\n")
    for action in ("backup", "restore"):
        assert run("store", action, tmp_path / "pipe").returncode == 2


URLS = ["postgresql+psycopg://user:{secret}@h:notaport/x", "postgresql+psycopg://user:{secret}@127.0.0.1:1/x",
        "postgresql+psycopg://user@127.0.0.1:1/x?password={secret}", "postgresql+psycopg://127.0.0.1:1/x?user=me&password={secret}",
        "postgresql+psycopg://user@h:notaport/x?password={secret}", "martian://user:{secret}@h/x?password={secret}",
        "postgresql+psycopg://user:{secret}@127.0.0.1:1/x?nonsense={secret}", "postgresql://user:{secret}@h/x",
        "user:{secret}@host/x", "postgresql+psycopg://user:{secret}@[h/x", "postgresql+psycopg://:{secret}@:/:?password={secret}"]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("command", [["runs", "list"], ["store", "check"], ["store", "backup", "new.db"]])
def test_a_password_in_the_databases_url_is_never_printed(monkeypatch, capsys, caplog, url, command):
    monkeypatch.setenv("SQRTSCALE_DATABASE_URL", url.format(secret="hunter2"))
    code = main(command)
    out, said = capsys.readouterr()
    assert code in (1, 2) and said.count("\n") == 1 and "hunter2" not in out + said + caplog.text
    if "notaport" in url:
        assert said.startswith("the database URL cannot be read: give one like ")


@pytest.mark.fault(
    "PostgreSQL accepts a connection and never answers",
    "`runs` and `store` end with one line after 2 seconds for each address of the server")
@pytest.mark.process
@pytest.mark.parametrize("command", [["runs", "list"], ["runs", "cancel", "abc"], ["runs", "show", "abc"], ["store", "check"]])
def test_a_server_that_never_answers_is_said_and_not_waited_for(command):
    """A socket that listens and says nothing. The driver's own limit ends the waiting: without it this never returns."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        url = f"postgresql+psycopg://user:hunter2@127.0.0.1:{hung.getsockname()[1]}/x"
        done = run(*command, env=os.environ | {"SQRTSCALE_DATABASE_URL": url})
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("cannot open the database postgresql+psycopg://user:***@127.0.0.1:")
    assert "timeout" in done.stderr and "hunter2" not in done.stderr


@pytest.mark.fault("another process holds the database's lock", "`runs` and `store` say after 4 seconds that it does not answer")
@pytest.mark.process
def test_a_database_that_another_process_holds_is_said_and_not_waited_for():
    with_lock = Store.open()
    id = stored.calibration(with_lock, "QUEUED")
    holding = with_lock._engine.connect()
    holding.exec_driver_sql("SELECT 1")  # BEGIN IMMEDIATE
    done = run("runs", "cancel", id)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("the database does not answer, try again later: database is locked")
    holding.close()
    with_lock.close()
