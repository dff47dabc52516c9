"""Who may talk to the app: requests by its own names and from its own pages, in no frame; pages load nothing from elsewhere.

Streamlit (1.67) looks at the Host of WebSockets alone, lets pages of any other port of this machine in, and asks a server on the
internet for this machine's address before it refuses any other. All of that ends here, before Streamlit sees the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import cli_util, config
from streamlit.web.server.server_util import get_display_address, get_url, is_allowed_origin
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

FORBIDDEN, POLICY_VIOLATION = 403, 1008  # of HTTP (RFC 9110) and of WebSockets (RFC 6455)
BROWSER_DELAY = 0.5  # seconds until the server listens


class Doors:
    """Middleware around the whole app. ``server.allowedHosts`` and ``server.corsAllowedOrigins`` say what else is let in."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if reason := refusal(headers):
            if scope["type"] == "http":
                await PlainTextResponse(reason, FORBIDDEN, headers={"Connection": "close"})(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason})
            return
        shut = response_headers(headers["host"])

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(shut)
            await send(message)

        await self.app(scope, receive, sending)


def refusal(headers: Headers) -> str:
    """Why a request with these headers is not answered; "" where it is."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or not is_host_allowed(hosts[0]):
        return "This app is not served under that name: open it by the address that it printed when it started.\n"
    if any(_foreign(origin, hosts[0]) for origin in origins):
        return "Pages of another origin may not use this app.\n"
    return ""


def _foreign(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc != host and not is_allowed_origin(origin)
    except ValueError:  # it is no address: "http://["
        return True


def response_headers(host: str) -> dict[str, str]:
    """What browsers are told with every answer: no frame around it, and nothing in it from another host."""
    policy = ("default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
              f"connect-src 'self' ws://{host} wss://{host} data: blob:; "
              "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'")
    return {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",  # an address holds ids and searches
    }


@asynccontextmanager
async def on_a_desktop(app: object) -> AsyncIterator[None]:
    """Opens the browser at the start unless ``server.headless``: Streamlit leaves that to apps with middleware."""
    if not config.get_option("server.headless"):
        address = get_url(get_display_address(config.get_option("server.address") or "localhost"))
        asyncio.get_running_loop().call_later(BROWSER_DELAY, cli_util.open_browser, address)
    yield


MIDDLEWARE = (Middleware(Doors),)
