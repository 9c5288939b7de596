"""Runs flows, and blocks meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, TypeVar

import httpx

from anysr_client.calls import Answer, Call
from anysr_client.deadline import Deadline
from anysr_client.endpoint import check, check_key, failures, headers_of, timeout_of
from anysr_client.errors import AnysrError
from anysr_client.steps import Flow, Hear, Listen, Pause, Running, Send, Show

T = TypeVar("T")


class _Stream:
    """What is listened to."""

    def __init__(self) -> None:
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._deadline: Deadline | None = None

    def open(self, response: httpx.Response, deadline: Deadline | None) -> None:
        self.close()
        self._response, self._deadline = response, deadline
        self._pieces = response.iter_bytes()

    def hear(self) -> bytes:
        with failures(self._deadline):
            return next(self._pieces, b"")

    def close(self) -> None:
        if self._response is not None:
            self._response.close()


class Driver:
    """Runs flows through a connection pool; several threads may share one.

    A deadline is noticed between the pieces that are sent and received, and in a silence no later
    than what remained of it when the request began.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def run(self, flow: Flow[T]) -> T:
        """Return a flow's result."""
        running = Running(flow)
        for _ in self._states(running):
            pass
        return running.result

    def states(self, flow: Flow[T]) -> Iterator[T]:
        """Yield what a flow shows."""
        return self._states(Running(flow))

    def _states(self, running: Running[T]) -> Iterator[Any]:
        with contextlib.closing(_Stream()) as stream:
            while (step := running.step) is not None:
                if isinstance(step, Show):
                    yield step.state
                    running.reply(None)
                    continue
                try:
                    reply = self._done(step, stream)
                except AnysrError as error:
                    running.fail(error)
                else:
                    running.reply(reply)

    def _done(self, step: Send | Listen | Hear | Pause, stream: _Stream) -> object:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if isinstance(step, Hear):
            return stream.hear()
        if isinstance(step, Listen):
            return self._listen(step, stream)
        with failures(step.deadline):
            response = self._begin(step.call, step.deadline, timeout_of(step.deadline))
            return _answer(response, step.deadline)

    def _listen(self, step: Listen, stream: _Stream) -> Answer:
        with failures(step.deadline):
            bounds = timeout_of(step.deadline, step.quiet_s)
            response = self._begin(step.call, step.deadline, bounds)
            if not response.is_success:
                return _answer(response, step.deadline)
        stream.open(response, step.deadline)
        return Answer(response.status_code, response.headers, b"")

    def _begin(
        self, call: Call, deadline: Deadline | None, bounds: httpx.Timeout
    ) -> httpx.Response:
        pieces = None if call.upload is None else _watched(call.upload.pieces(), deadline)
        request = self._http.build_request(
            call.method,
            call.path,
            params=call.query or None,  # httpx takes an empty one for no query at all
            headers=call.headers,
            content=pieces,
            timeout=bounds,
        )
        check_key(request, call)
        return self._http.send(request, stream=True, follow_redirects=call.follows)


def _answer(response: httpx.Response, deadline: Deadline | None) -> Answer:
    with contextlib.closing(response):
        body = b"".join(_watched(response.iter_bytes(), deadline))
    return Answer(response.status_code, headers_of(response), body)


def _watched(pieces: Iterator[bytes], deadline: Deadline | None) -> Iterator[bytes]:
    """Yield pieces until the deadline. Raises DeadlineExceeded."""
    for piece in pieces:
        check(deadline)
        yield piece
