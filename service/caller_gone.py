"""The end of a request whose caller has left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

AnswerT = TypeVar("AnswerT")


class CallerGone(Exception):
    """The caller closed the connection: its job was cancelled, and nobody reads the answer."""


async def gone(request: Request) -> None:
    """Return when the caller of a request, whose body was read, has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def first(answer: Coroutine[Any, Any, AnswerT], leaving: Awaitable[None]) -> AnswerT:
    """Return the answer. Raises CallerGone if the caller leaves first."""
    tasks: list[asyncio.Future[Any]] = [*map(asyncio.ensure_future, (answer, leaving))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            result: AnswerT = tasks[0].result()
            return result
        raise CallerGone
    finally:
        # Emptied, because the error of a task leads to this frame: else it would keep itself, and
        # the picture in a frame above, until a full collection.
        while tasks:
            _abandon(tasks.pop())


def _abandon(task: asyncio.Future[Any]) -> None:
    """Cancel a task that may have ended. It is not awaited: a wait that is slow to end must not
    delay the cancelling of its job."""
    task.cancel()
    task.add_done_callback(_retrieve_exception)


def _retrieve_exception(task: asyncio.Future[Any]) -> None:
    """Retrieve an error that came too late to matter, so that asyncio does not report it."""
    if not task.cancelled():
        task.exception()
