"""A job's changes as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from jobs.errors import JobNotFound
from jobs.job import JobView
from service.answers import job_answer

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE_S = 15.0
"""A comment so often, lest a proxy think the connection dead."""


async def job_events(
    views: AsyncIterator[JobView], closing: asyncio.Event, root_path: str = ""
) -> AsyncGenerator[str, None]:
    """Yield `event: job` for each view, to the end of the views or of the service."""
    stop = asyncio.ensure_future(closing.wait())
    coming = asyncio.ensure_future(_next(views))
    try:
        while True:
            await asyncio.wait(
                (coming, stop), timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not coming.done():
                if stop.done():
                    return
                yield ": waiting\n\n"
                continue
            view = coming.result()
            if view is None:
                return
            yield f"event: job\ndata: {job_answer(view, root_path).model_dump_json()}\n\n"
            coming = asyncio.ensure_future(_next(views))
    finally:
        stop.cancel()
        coming.cancel()
        await asyncio.gather(stop, coming, return_exceptions=True)
        if isinstance(views, AsyncGenerator):
            await views.aclose()


async def _next(views: AsyncIterator[JobView]) -> JobView | None:
    """Return the next view; None at the end, also when the job is forgotten on the way."""
    try:
        return await anext(views, None)
    except JobNotFound:
        return None
