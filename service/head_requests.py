"""HEAD for every route that has GET: the same status and headers, without the body (RFC 9110,
section 9.3.2).

FastAPI refuses HEAD with 405 unless a route names it, and monitors probe with HEAD.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTED = ("route", "endpoint", "path_params")
"""What the router writes into the scope, for the request log outside."""


class _Answered(Exception):
    """The head is sent; the rest of the body is not made."""


class HeadRequests:
    """ASGI middleware: runs a HEAD as GET, sends its head, and stops it at its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; where it refuses a method but allows GET, name HEAD as well."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self._app(scope, receive, _naming_head(send))

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A copy: the server must still see a HEAD, for else it waits for the body that the
        # Content-Length announces.
        as_get = {**scope, "method": "GET"}

        async def send_head(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({"type": "http.response.body", "body": b""})
            if message.get("more_body"):
                raise _Answered

        try:
            await self._app(as_get, receive, _naming_head(send_head))
        except _Answered:
            pass
        finally:
            scope.update({name: as_get[name] for name in ROUTED if name in as_get})


def _naming_head(send: Send) -> Send:
    async def named(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            methods = headers.get("allow", "").split(", ")
            if "GET" in methods and "HEAD" not in methods:
                headers["Allow"] = ", ".join((*methods, "HEAD"))
        await send(message)

    return named
