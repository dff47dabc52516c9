"""A real PostgreSQL server for the tests, in a folder of its own."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest


def missing(what: str) -> None:
    """Skip where a part of the machine is missing; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is missing")


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


class PostgreSQL:
    """Started by ``with``; ``database(name)`` makes an empty database and gives its URL."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.programs = _programs()
        if self.programs is None:
            missing("PostgreSQL (initdb)")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:  # the server refuses root
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        environment = {name: value for name, value in os.environ.items() if name != "SQRTSCALE_HOME"}  # it belongs to no home
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       stdin=subprocess.DEVNULL, env=environment | {"HOME": str(self.folder), "LC_ALL": "C"})

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            for folder in (self.folder, *self.folder.parents):
                if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
                    folder.chmod(folder.stat().st_mode | 0o055)
            shutil.chown(self.folder, "postgres", "postgres")
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def start(self):
        """Start the server, after :meth:`stop` for example."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self):
        """Stop it as a crash would."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def database(self, name: str) -> str:
        """A new, empty database; returns its SQLAlchemy URL."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tester", name)
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/{name}"
