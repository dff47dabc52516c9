"""The app's doors, tried from outside: raw requests to a real server, however it was started, and a page that would frame it."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from driving import ROOT, Server


class InstalledServer(Server):
    """Started as the command line does it."""

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "sqrtscale", "app", "--port", str(self.port)]

    @property
    def environment(self) -> dict[str, str]:
        own = {key: value for key, value in super().environment.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        return own | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def elsewhere():
    """A socket that stands for the internet: the server's proxy. Nothing may ever ask it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture(scope="module", params=[Server, InstalledServer], ids=["streamlit run", "sqrtscale app"])
def server(request, elsewhere, tmp_path_factory):
    """The app, which would reach the internet through ``elsewhere``."""
    server = request.param(tmp_path_factory.mktemp("home"))
    proxy = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy"):
            patch.setenv(name, proxy)
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "127.0.0.1,localhost")
        try:
            server.start()
        finally:
            patch.undo()
    yield server
    server.end_everything()


def ask(server, path="/", **headers):
    """Status, headers and body of one plain request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def upgrade(server, **headers):
    """Status of a WebSocket's opening handshake (RFC 6455): 101 where it is let in."""
    key = base64.b64encode(os.urandom(16)).decode()
    given = {"Host": f"127.0.0.1:{server.port}", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": key} | headers
    lines = [f"{name}: {value}" for name, value in given.items()]
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall("\r\n".join(["GET /_stcore/stream HTTP/1.1", *lines, "", ""]).encode())
        return int(connection.makefile("rb").readline().split()[1])


PATHS = ["/", "/results", "/_stcore/health", "/_stcore/host-config", "/app/static/README.md", "/media/none"]
FOREIGN_HOSTS = ["rebound.example", "rebound.example:{port}", "localhost.example", "127.0.0.1.example", "10.0.0.1:{port}", ""]
FOREIGN_ORIGINS = ["http://rebound.example", "http://127.0.0.1:1", "http://localhost:3000", "http://localhost", "null",
                   "http://localhost:{port}", "http://127.0.0.1:{port}.example", "http://127.0.0.1:{port}@rebound.example", "file://",
                   "http://["]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_host_that_is_not_ours_is_refused(server, host):
    host = host.format(port=server.port)
    for path in PATHS:
        assert ask(server, path, Host=host)[0] in (400, 403)
    assert upgrade(server, Host=host) in (400, 403)
    assert upgrade(server, Host=host, Origin=f"http://{host}") in (400, 403)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_an_origin_that_is_not_ours_is_refused_and_nobody_asked_about_it(server, elsewhere, origin):
    origin = origin.format(port=server.port)
    for path in PATHS:
        status, headers, body = ask(server, path, Origin=origin)
        assert status == 403 and "Access-Control-Allow-Origin" not in headers and b"origin" in body
    assert upgrade(server, Origin=origin) == 403
    with pytest.raises(BlockingIOError):  # nobody has come
        elsewhere.accept()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_pages_are_let_in(server, name):
    own = f"{name}:{server.port}"
    for headers in ({"Host": own}, {"Host": own, "Origin": f"http://{own}"}):
        assert ask(server, "/_stcore/health", **headers)[::2] == (200, b"ok")
        assert upgrade(server, **headers) == 101


def test_another_port_of_this_machine_may_stand_for_it(server):
    """A tunnel: the browser knows another port, and says the same one in both places."""
    assert upgrade(server, Host="localhost:9999", Origin="http://localhost:9999") == 101


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_frames_and_what_comes_from_elsewhere(server, path):
    _, headers, _ = ask(server, path)
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["frame-ancestors"] == "'none'" and policy["object-src"] == "'none'" and policy["base-uri"] == "'self'"
    own = {"'self'", "data:", "blob:", "'unsafe-inline'", "'unsafe-eval'"}
    assert set(policy["default-src"].split()) == own
    sockets = {f"{kind}://127.0.0.1:{server.port}" for kind in ("ws", "wss")}
    assert set(policy["connect-src"].split()) == {"'self'", "data:", "blob:"} | sockets
    assert {"img-src", "script-src", "style-src", "font-src", "frame-src", "media-src"}.isdisjoint(policy)  # as default-src
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert headers["Cross-Origin-Resource-Policy"] == headers["Referrer-Policy"] == "same-origin"


def test_a_page_of_another_port_cannot_frame_it(server, browser):
    frame = f'<iframe src="http://127.0.0.1:{server.port}/"></iframe>'.encode()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(frame)

        def log_message(self, *arguments):
            """No lines in the test's output."""

    with HTTPServer(("127.0.0.1", 0), Page) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = browser.new_page()
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        page.wait_for_load_state("networkidle")
        assert any("frame-ancestors 'none'" in text for text in said), said
        assert page.frames[1].url.startswith("chrome-error:")
        page.close()
        other.shutdown()


def test_a_page_loads_nothing_from_elsewhere_even_where_something_got_into_it(server, visit, watch):
    refused = visit("/").evaluate("""() => new Promise(done => {
        document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective));
        document.body.append(Object.assign(new Image(), {src: "http://127.0.0.1:1/a.png"}));
    })""")
    assert refused == "img-src"
    watch.problems.clear()  # the browser's word on that image
