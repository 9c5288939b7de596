"""Response in slices: a large body leaves the gateway as fast as its caller reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SLICE_BYTES = 256 * 1024
"""Most bytes that are sent at once. uvicorn copies what a socket does not take into a buffer of its
own, and accepts no further slice before that has drained."""


class SlicedResponse(Response):
    """A body in memory, sent in slices with its Content-Length.

    `on_sent` is called if the caller was still there when the last slice had drained, `on_end` in
    any case.
    """

    body: bytes

    def __init__(
        self,
        body: bytes,
        headers: Mapping[str, str],
        media_type: str,
        on_sent: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(body, 200, headers, media_type)
        self._on_sent = on_sent
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and body, and stop when the caller leaves."""
        del scope
        leaving = asyncio.ensure_future(_caller_left(receive))
        try:
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            for start in range(0, len(self.body), SLICE_BYTES):
                await _send_body(send, self.body[start : start + SLICE_BYTES])
                if leaving.done():
                    return
            await _send_body(send, b"")  # returns once the last slice has drained
            await asyncio.sleep(0)  # the caller may have left meanwhile
            if leaving.done():
                return
            await send({"type": "http.response.body", "body": b""})
            self._on_sent()
        finally:
            leaving.cancel()
            self._on_end()


async def _send_body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _caller_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
