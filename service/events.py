"""Server-sent events for the changes of a job or a batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

from pydantic import BaseModel

from jobs.errors import BatchNotFound, JobNotFound

MEDIA_TYPE = "text/event-stream"
EVENT_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
KEEP_ALIVE_S = 15.0
"""Period of comments that keep a proxy from closing the connection."""


V = TypeVar("V")


async def view_events(
    event: str, views: AsyncIterator[V], answer: Callable[[V], BaseModel], closing: asyncio.Event
) -> AsyncGenerator[str, None]:
    """Yield an event of this name for each view, until the views end or the service stops."""
    stop = asyncio.ensure_future(closing.wait())
    next_view = asyncio.ensure_future(_next(views))
    try:
        while True:
            await asyncio.wait(
                (next_view, stop), timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not next_view.done():
                if stop.done():
                    return
                yield ": waiting\n\n"
                continue
            view = next_view.result()
            if view is None:
                return
            yield f"event: {event}\ndata: {answer(view).model_dump_json()}\n\n"
            next_view = asyncio.ensure_future(_next(views))
    finally:
        stop.cancel()
        next_view.cancel()
        await asyncio.gather(stop, next_view, return_exceptions=True)
        if isinstance(views, AsyncGenerator):
            await views.aclose()


async def _next(views: AsyncIterator[V]) -> V | None:
    """Return the next view; None at the end, also if the record has expired meanwhile."""
    try:
        return await anext(views, None)
    except (JobNotFound, BatchNotFound):
        return None
