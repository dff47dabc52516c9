"""What the browser tests share: a real server on its own home, readiness, and a watch on the browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import waiting
from playwright.sync_api import BrowserContext, Page, expect

ROOT = Path(__file__).resolve().parents[2]
# urlopen would keep the proxy that its first call finds, also where a test has set one for a while.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATIENCE = 60.0  # seconds: the machine may be busy, and only a failure waits this long
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]
READY = "[data-testid='stApp'][data-test-connection-state='CONNECTED'][data-test-script-state='notRunning']"
# A page opened by its own address asks for these below itself before it asks at the root; 404 is the answer expected.
PREFIX_PROBE = re.compile(r"^/.+/_stcore/(health|host-config)$")
OUTAGE = re.compile("WebSocket|disconnected|not responding|ERR_CONNECTION|Failed to load resource|Failed to fetch|health|"
                    "host-config|Client Error")


def find_chromium() -> str | None:
    """The system's Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def until(condition, what: str, patience: float = PATIENCE):
    """The first true value of ``condition()``; the test fails naming ``what`` when patience runs out."""
    return waiting.until(condition, patience, what)


def wait_ready(page: Page) -> None:
    """Until the page is connected and its script has come to rest."""
    expect(page.locator(READY)).to_be_attached(timeout=PATIENCE * 1000)


class Server:
    """The app on a free port of 127.0.0.1 with its own home folder; ``restart`` keeps both."""

    def __init__(self, home: Path):
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "server.log"
        self.process: subprocess.Popen | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the server; scripts that should see the same store take it too."""
        own = {key: value for key, value in os.environ.items() if not key.startswith(("STREAMLIT_", "SQRTSCALE_"))}
        return own | {"SQRTSCALE_HOME": str(self.home)}

    @property
    def command(self) -> list[str]:
        """What starts it."""
        return [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port), "--server.headless", "true"]

    def start(self) -> None:
        """Start, and return when the health page says ok."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT,
            )
        until(self._healthy, f"the server to be healthy; its log:\n{self.log.read_text()[-2000:]}")

    def _healthy(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
        try:
            with DIRECT.open(f"{self.url}/_stcore/health", timeout=5) as answer:
                return answer.read() == b"ok"
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the server alone; calibrations that it launched go on."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def restart(self) -> None:
        """Stop and start on the same port and home, as after a reboot of the service."""
        self.stop()
        self.start()

    def end_everything(self) -> None:
        """Stop, and end every process that still works on this home (supervisors and their children)."""
        self.stop()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def processes(self) -> list[int]:
        """Process ids whose environment names this home."""
        mark = f"SQRTSCALE_HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
            except OSError:  # ended meanwhile, or another user's
                continue
        return found


class Watch:
    """Collects what must not happen in a browser: console errors and requests to foreign hosts."""

    def __init__(self):
        self.problems: list[str] = []
        self._outage = False

    def over(self, context: BrowserContext, server: Server) -> None:
        """Watch every page of a context."""
        context.on("console", lambda message: message.type == "error" and self._console(message))
        context.on("weberror", lambda error: self._note("page error", str(error.error)))
        context.on("request", lambda request: self._request(request.url, urlsplit(server.url).netloc))

    def allow_outage(self) -> None:
        """From now on errors of a lost connection are expected (the test stops the server)."""
        self._outage = True

    def _console(self, message) -> None:
        url = message.location.get("url", "")
        if not PREFIX_PROBE.search(urlsplit(url).path):
            self._note("console", f"{message.text} {url}")

    def _request(self, url: str, own: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != own:
            self.problems.append(f"request to a foreign host: {url}")

    def _note(self, kind: str, text: str) -> None:
        if not (self._outage and OUTAGE.search(text)):
            self.problems.append(f"{kind}: {text}")
