"""Answers a request that is refused in the middle of its body so that the caller hears it.

A server that answers and closes while the caller still sends makes the caller's system drop the
answer. So the whole answer goes out at once, what still comes is thrown away for a moment, and
only then the connection is closed (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 1.0


class LingeringClose:
    """ASGI middleware around everything that may refuse a body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; linger where it answered before the body's end."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        whole = False
        linger = False

        async def counted() -> Message:
            nonlocal whole
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        async def patient(message: Message) -> None:
            nonlocal linger
            if message["type"] == "http.response.start" and not whole:
                headers = MutableHeaders(raw=message["headers"])
                linger = "content-length" in headers
                headers["Connection"] = "close"
            if not linger or message["type"] != "http.response.body" or message.get("more_body"):
                await send(message)
                return
            await send({**message, "more_body": True})
            await _drain(counted)
            await send({"type": "http.response.body", "body": b""})

        await self._app(scope, counted, patient)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _drain(receive: Receive) -> None:
    try:
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        return
