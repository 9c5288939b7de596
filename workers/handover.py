"""Handing a call over to an executing thread, on the way of every request.

`loop.run_in_executor` chains a future of the thread with one of the event loop, and inspects the
call first. That is a dozen calls of Python on each side, a tenth of what a request adds to its
network; here the thread itself resolves the future of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def run_on(thread: Executor, call: Callable[[], T]) -> T:
    """Return the result of a call that runs on a thread, or raise its error. A caller who is
    cancelled does not end the call. Raises RuntimeError once the executor is shut down."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # whatever it is, somebody waits for it
            loop.call_soon_threadsafe(_fail, ended, error)
        else:
            loop.call_soon_threadsafe(_resolve, ended, result)

    thread.submit(run)
    return await ended


def _resolve(ended: asyncio.Future[T], result: T) -> None:
    if not ended.done():
        ended.set_result(result)


def _fail(ended: asyncio.Future[T], error: BaseException) -> None:
    if not ended.done():
        ended.set_exception(error)
