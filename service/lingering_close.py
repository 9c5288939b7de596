"""Lingering close: makes sure that a caller receives a refusal in the middle of its upload.

If a server closes the connection while the caller still sends, the caller's system discards the
answer. So the whole answer is sent at once, the rest of the body is read and discarded for a
moment, and only then the connection is closed (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 1.0
"""Longest time for which the rest of a body is read."""
DRAINED_BYTES_PER_S = 64 << 20
"""Of all refused bodies together, so that they take no time from those that are accepted: one body
of the largest size is read whole."""


class LingeringClose:
    """ASGI middleware around everything that may refuse a body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._pace = Pace(DRAINED_BYTES_PER_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; linger if it answers before the body's end."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body_read = False
        linger = False

        async def watched_receive() -> Message:
            nonlocal body_read
            message = await receive()
            body_read = body_read or not message.get("more_body", False)
            return message

        async def lingering_send(message: Message) -> None:
            nonlocal linger
            if message["type"] == "http.response.start" and not body_read:
                headers = MutableHeaders(raw=message["headers"])
                linger = "content-length" in headers
                headers["Connection"] = "close"
            if not linger or message["type"] != "http.response.body" or message.get("more_body"):
                await send(message)
                return
            await send({**message, "more_body": True})
            await _drain(watched_receive, self._pace)
            await send({"type": "http.response.body", "body": b""})

        await self._app(scope, watched_receive, lingering_send)


class Pace:
    """A rate in bytes per second that several readers share, in the order in which they ask."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        """Wait until so many bytes that were read are within the rate."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + count / self._rate
        await asyncio.sleep(self._free_at - now)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _drain(receive: Receive, pace: Pace) -> None:
    try:
        async with asyncio.timeout(LINGER_S):
            while (message := await receive()).get("more_body", False):
                await pace.take(len(message["body"]))
    except TimeoutError:
        return
