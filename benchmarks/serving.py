"""The app's server in a process of its own, and visitors that speak to it over its web socket, for benchmarks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """The app on a free port with its own home; it has answered once when the ``with`` begins."""

    def __init__(self, home: Path):
        self.home = home

    def __enter__(self) -> Server:
        self.home.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        own = {key: value for key, value in os.environ.items() if not key.startswith(("STREAMLIT_", "SQRTSCALE_"))}
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)], cwd=ROOT,
                env=own | {"SQRTSCALE_HOME": str(self.home), "PYTHONPATH": str(ROOT)}, stdout=log, stderr=subprocess.STDOUT)
        self.pid = self.process.pid
        late = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > late:
                raise RuntimeError(f"the server does not answer: read {self.home / 'server.log'}")
            time.sleep(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5) as answer:
                return answer.read() == b"ok"
        except urllib.error.URLError:
            return False

    @property
    def cpu(self) -> float:
        """CPU seconds that the server has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def resident(self) -> int:
        """Bytes of memory that the server holds."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Visitor:
    """One session, as a browser's tab has it. Both ``open`` and ``type`` return the seconds until the script has ended."""

    def __init__(self, server: Server):
        self.server = server
        self.socket = connect(f"ws://127.0.0.1:{server.port}/_stcore/stream", subprotocols=["streamlit"], max_size=None)
        self.query = self.script = ""
        self.widgets: dict[str, str] = {}  # label -> id of every text input
        self.elements: set[str | None] = set()  # kinds of what the last run drew

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def timed(self, work: Callable[[], float]) -> tuple[float, float]:
        """(wall, CPU) seconds of what the server does for it."""
        before = self.server.cpu
        return work(), self.server.cpu - before

    def open(self, page: str = "", query: str = "") -> float:
        """A page by its address."""
        self.query = query
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        return self._run(message)

    def type(self, label: str, text: str) -> float:
        """Another text in a text input of the page."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_script_hash = self.script
        message.rerun_script.widget_states.widgets.add(id=self.widgets[label], string_value=text)
        return self._run(message)

    def _run(self, message: BackMsg) -> float:
        self.elements.clear()
        began = time.perf_counter()
        self.socket.send(message.SerializeToString())
        while True:
            found = ForwardMsg.FromString(self.socket.recv(PATIENCE))
            kind = found.WhichOneof("type")
            if kind == "script_finished" and found.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return time.perf_counter() - began
            if kind == "navigation":
                self.script = found.navigation.page_script_hash
            elif kind == "page_info_changed":
                self.query = found.page_info_changed.query_string
            elif kind == "delta":
                element = found.delta.new_element
                name = element.WhichOneof("type")
                self.elements.add(name)
                if name == "exception":
                    raise RuntimeError(f"the page failed: {element.exception.message}")
                if name == "text_input":
                    self.widgets[element.text_input.label] = element.text_input.id
