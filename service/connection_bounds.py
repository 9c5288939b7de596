"""Bounds of an HTTP connection: size and time of a request's head, writes without progress, and one
request at a time.

uvicorn bounds none of them: it parses a head of any size, keeps an idle connection open until its
first request, and holds the answer to a caller who does not read it in memory for ever. It stops to
read when a request comes before the answer to the last one, and so never learns that the caller has
left. Here such a request is not read, and the connection is closed after the answer: a client sends
it again (RFC 9112, 9.3.2). Once an answer has begun, its job is done; a client may have all of it
(of one to HEAD, the head) before uvicorn knows, and its next request waits as in uvicorn.
"""

from __future__ import annotations

import asyncio
import http
import logging
import resource
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.problems import refusal

log = logging.getLogger(__name__)

SLICE_BYTES = 8 * 1024
"""Size of the pieces in which a head is parsed, so that a large one blocks no other request."""
RESERVED_DESCRIPTORS = 64
"""File descriptors kept for Redis, files and the listening sockets."""
REFUSALS = {
    http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "URL and headers have more than {bounds.head_bytes} bytes; send parameters as form fields."
    ),
    http.HTTPStatus.REQUEST_TIMEOUT: (
        "URL and headers took more than {bounds.head_seconds:g} s to arrive."
    ),
    http.HTTPStatus.SERVICE_UNAVAILABLE: (
        "The gateway has {bounds.connections} open connections, as many as it may; try again."
    ),
}
"""What is said of each refusal."""
WRITE_CHECKS = 3
"""Number of checks of a blocked write within `write_seconds`."""


@dataclass(frozen=True)
class ConnectionBounds:
    """Bounds of each connection, and of their number."""

    head_bytes: int = 32 * 1024
    """Most bytes of request line and headers; a larger head is answered 431."""
    head_seconds: float = 10.0
    """Longest time from the connection, or a request's first byte, to the end of its head."""
    write_seconds: float = 30.0
    """Longest time without progress of a write, after which the connection is aborted."""
    connections: int = 1000
    """Most open connections. For a further one, the connection is closed that has waited longest
    for a head; where none waits, the further one is answered 503 and closed."""

    def within_descriptors(self) -> ConnectionBounds:
        """Return these bounds with at most as many connections as the process may open files."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return self
        most = max(1, min(self.connections, soft - RESERVED_DESCRIPTORS))
        return ConnectionBounds(self.head_bytes, self.head_seconds, self.write_seconds, most)


class BoundedConnection(HttpToolsProtocol):
    """A uvicorn connection within `bounds`; `bounded` returns the class for other bounds."""

    bounds: ClassVar[ConnectionBounds] = ConnectionBounds()
    waiting: ClassVar[OrderedDict[BoundedConnection, None]] = OrderedDict()
    """Connections without a whole head, the longest waiting first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_begun = False
        self._head_bytes = 0
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._idle_checks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections and not self._close_longest_waiting():
            self._refuse(http.HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._start_head_timer()

    def _close_longest_waiting(self) -> bool:
        """Close the connection that has waited longest for a head; return False if none waits.

        So idle connections, however many one caller opens, keep nobody else out: the head of a
        caller with a request comes at once.
        """
        if not self.waiting:
            return False
        longest, _ = self.waiting.popitem(last=False)
        longest._stop_head_timer()
        longest.transport.abort()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not (self._refused or self.transport.is_closing()):
            if not self._in_head:
                super().data_received(data)
                return
            self._start_head_timer()
            piece, data = data[:SLICE_BYTES], data[SLICE_BYTES:]
            self._head_bytes += len(piece)
            super().data_received(piece)
            if self._in_head and self._head_bytes > self.bounds.head_bytes:
                self._refuse(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_begun = True
        self._start_head_timer()

    def on_headers_complete(self) -> None:
        self._in_head = self._head_begun = False
        self._head_bytes = 0
        self._stop_head_timer()
        # Counted here as well: a pipelined head comes in one piece with the body before it.
        fields = sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) + fields > self.bounds.head_bytes:
            self._refuse(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._answering and not self.cycle.response_started:
            self._refused, self.cycle.keep_alive = True, False
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        super().on_message_complete()
        self._in_head = True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._idle_checks = 0
        self._check_write_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_write_timer()

    def _check_write_later(self) -> None:
        self._stop_write_timer()
        after_s = self.bounds.write_seconds / WRITE_CHECKS
        self._write_timer = self.loop.call_later(after_s, self._check_write)

    def _check_write(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._idle_checks = self._idle_checks + 1 if unsent >= self._unsent_bytes else 0
        self._unsent_bytes = unsent
        if self._idle_checks >= WRITE_CHECKS:
            log.info("connection aborted: the caller did not read its answer")
            self.transport.abort()
        else:
            self._check_write_later()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.bounds.head_seconds, self._end_head)
            self.waiting[self] = None

    def _stop_head_timer(self) -> None:
        self.waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_head(self) -> None:
        """Close a connection whose head is late, with 408 if the head has begun."""
        self._stop_head_timer()
        if not self._in_head or self._answering:
            return
        if self._head_begun:
            self._refuse(http.HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: http.HTTPStatus) -> None:
        """Answer with the problem of a status, and close the connection."""
        self._refused = True
        self._stop_head_timer()
        if not self._answering:
            self.transport.write(_answer(status, REFUSALS[status].format(bounds=self.bounds)))
        self.transport.close()


def _answer(status: http.HTTPStatus, text: str) -> bytes:
    """Return a whole answer, after which the connection is closed."""
    problem = refusal(status, text, uuid.uuid4().hex)
    problem.headers["connection"] = "close"
    lines = [f"{name}: {value}" for name, value in problem.headers.items()]
    head = "\r\n".join((f"HTTP/1.1 {status.value} {status.phrase}", *lines, "", ""))
    return head.encode("latin-1") + bytes(problem.body)


def bounded(bounds: ConnectionBounds) -> type[BoundedConnection]:
    """Return the connection class for `uvicorn.Config(http=...)` with these bounds."""
    members = {"bounds": bounds, "waiting": OrderedDict()}
    return type("BoundedConnection", (BoundedConnection,), members)
