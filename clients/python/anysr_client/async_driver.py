"""Runs flows, and lets other tasks run meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

import httpx

from anysr_client.calls import Answer, Call
from anysr_client.deadline import Deadline
from anysr_client.endpoint import check, check_key, failures, headers_of, timeout_of
from anysr_client.errors import AnysrError, DeadlineExceeded
from anysr_client.steps import Flow, Hear, Listen, Pause, Running, Send, Show
from anysr_client.uploads import Upload

T = TypeVar("T")


class _Stream:
    """What is listened to."""

    def __init__(self) -> None:
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._deadline: Deadline | None = None

    async def open(self, response: httpx.Response, deadline: Deadline | None) -> None:
        await self.aclose()
        self._response, self._deadline = response, deadline
        self._pieces = response.aiter_bytes()

    async def hear(self) -> bytes:
        if self._pieces is None:
            return b""
        with failures(self._deadline):
            return await anext(self._pieces, b"")

    async def aclose(self) -> None:
        if self._response is not None:
            await self._response.aclose()


class AsyncDriver:
    """Runs flows through a connection pool; several tasks may share one."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def run(self, flow: Flow[T]) -> T:
        """Return a flow's result."""
        running = Running(flow)
        async with contextlib.aclosing(self._states(running)) as states:
            async for _ in states:
                pass
        return running.result

    def states(self, flow: Flow[T]) -> AsyncGenerator[T, None]:
        """Yield what a flow shows."""
        return self._states(Running(flow))

    async def _states(self, running: Running[T]) -> AsyncGenerator[Any, None]:
        async with contextlib.aclosing(_Stream()) as stream:
            while (step := running.step) is not None:
                if isinstance(step, Show):
                    yield step.state
                    running.reply(None)
                    continue
                try:
                    reply = await self._done(step, stream)
                except AnysrError as error:
                    running.fail(error)
                else:
                    running.reply(reply)

    async def _done(self, step: Send | Listen | Hear | Pause, stream: _Stream) -> object:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if isinstance(step, Hear):
            return await stream.hear()
        if isinstance(step, Listen):
            return await self._listen(step, stream)
        with failures(step.deadline):
            async with _until(step.deadline):
                response = await self._begin(step.call, timeout_of(step.deadline))
                return await _answer(response)

    async def _listen(self, step: Listen, stream: _Stream) -> Answer:
        with failures(step.deadline):
            async with _until(step.deadline):
                bounds = timeout_of(step.deadline, step.quiet_s)
                response = await self._begin(step.call, bounds)
                if not response.is_success:
                    return await _answer(response)
        await stream.open(response, step.deadline)
        return Answer(response.status_code, response.headers, b"")

    async def _begin(self, call: Call, bounds: httpx.Timeout) -> httpx.Response:
        request = self._http.build_request(
            call.method,
            call.path,
            params=call.query or None,  # httpx takes an empty one for no query at all
            headers=call.headers,
            content=None if call.upload is None else _pieces(call.upload),
            timeout=bounds,
        )
        check_key(request, call)
        return await self._http.send(request, stream=True, follow_redirects=call.follows)


async def _answer(response: httpx.Response) -> Answer:
    async with contextlib.aclosing(response):
        body = await response.aread()
    return Answer(response.status_code, headers_of(response), body)


async def _pieces(upload: Upload) -> AsyncGenerator[bytes, None]:
    """Yield a body; a file is read on a thread."""
    pieces = upload.pieces()
    try:
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece
    finally:
        pieces.close()


@contextlib.asynccontextmanager
async def _until(deadline: Deadline | None) -> AsyncIterator[None]:
    """Raise DeadlineExceeded in what goes on at a deadline."""
    check(deadline)
    try:
        async with asyncio.timeout(None if deadline is None else deadline.left_s()):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("the deadline has passed") from error
