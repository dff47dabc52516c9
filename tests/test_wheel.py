"""The wheel, installed into an environment of its own, works from any folder: command line, store, app."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

import pytest
from waiting import until

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "app.py", "pages", "static", ".streamlit", "scripts", "sqrtscale")
DEPENDENCIES = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
AS_A_VISITOR = """
import json
from streamlit.testing.v1 import AppTest
from sqrtscale.home import app_folder, home
app = AppTest.from_file(str(app_folder() / "app.py"), default_timeout=120).run()
headings = [heading.value for heading in app.header]
app.switch_page("pages/results.py").run()
headings += [heading.value for heading in [*app.title, *app.header, *app.subheader]]
print(json.dumps({"app": str(app_folder()), "home": str(home()), "headings": headings, "failures": len(app.exception)}))
"""


class Installation:
    """An environment with nothing but the wheel (and this interpreter's libraries), its user and a folder to stand in."""

    def __init__(self, folder: Path):
        self.programs = folder / "environment" / "bin"
        self.user = folder / "user"
        self.working_folder = folder / "elsewhere"

    def environment(self) -> dict[str, str]:
        """That of a user who has set nothing."""
        kept = {"PATH", "LANG", "TMPDIR"}
        return {name: value for name, value in os.environ.items() if name in kept} | {"HOME": str(self.user)}

    def run(self, program: str, *arguments: str) -> str:
        """What one of its programs prints."""
        done = subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.working_folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def build_wheel(folder: Path) -> Path:
    """The wheel from a source archive from a copy of the sources: no file is left in the checkout, and none is taken from it."""
    copy = folder / "copy"
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.min.js"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(source, copy / name)
    archive = "from setuptools import build_meta; build_meta.build_sdist('..')"
    subprocess.run([sys.executable, "-c", archive], cwd=copy, check=True, capture_output=True)
    (source_archive,) = folder.glob("sqrtscale-*.tar.gz")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            folder,
            source_archive,
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("sqrtscale-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(folder)
    installation = Installation(folder)
    venv.create(folder / "environment", with_pip=False)
    installation.user.mkdir()
    installation.working_folder.mkdir()
    python = installation.programs / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
    )
    (packages,) = (folder / "environment" / "lib").glob("python*/site-packages")
    # As paths alone: .pth files in there, that of an editable installation for example, are not followed.
    (packages / "dependencies.pth").write_text("\n".join(DEPENDENCIES))
    return installation


def test_the_command_line_works_from_anywhere(installation):
    answer = json.loads(
        installation.run(
            "sqrtscale", "scale", "--optimizer", "adam", "--lr", "1e-3", "--batch", "256", "--target", "1024", "--json"
        )
    )
    assert answer["kappa"] == 4


def test_a_store_is_made_in_the_folder_for_the_users_data(installation):
    assert installation.run("sqrtscale", "runs", "list", "--json").strip() == "[]"
    assert (installation.user / ".local" / "share" / "sqrtscale" / "sqrtscale.db").is_file()


def test_pages_run_as_they_were_installed(installation):
    seen = json.loads(installation.run("python", "-c", AS_A_VISITOR))
    folder = Path(seen["app"])
    assert folder.is_relative_to(installation.programs.parent)
    assert seen["home"] == str(installation.user / ".local" / "share" / "sqrtscale")
    assert seen["failures"] == 0
    assert {"Your configuration", "Nothing stored yet"} <= set(seen["headings"])
    pages = {path.name: path.read_bytes() for path in (ROOT / "pages").glob("*.py")}
    assert {path.name: path.read_bytes() for path in (folder / "pages").glob("*.py")} == pages


def get(address: str) -> tuple[str, bytes]:
    """The kind and the content of what an address answers with."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # urlopen keeps the proxy that its first call finds
    with direct.open(address, timeout=30) as answer:
        return answer.headers.get_content_type(), answer.read()


def test_the_app_is_served_with_its_own_settings(installation):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = installation.working_folder.parent / "app.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [installation.programs / "sqrtscale", "app", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=installation.working_folder,
            env=installation.environment(),
        )
    address = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        assert server.poll() is None, log.read_text()
        try:
            return get(f"{address}/_stcore/health")[1] == b"ok"
        except OSError:
            return False

    try:
        until(healthy, what="the health page")
        assert get(f"{address}/results")[0] == "text/html"
        # Only .streamlit/config.toml allows this folder to be read.
        assert get(f"{address}/app/static/README.md")[1] == (ROOT / "static" / "README.md").read_bytes()
    finally:
        server.kill()
        server.wait()
