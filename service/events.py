"""Server-sent events for the changes of a job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from jobs.errors import JobNotFound
from jobs.job import JobView
from service.answers.job import job_answer

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE_S = 15.0
"""Period of comments that keep a proxy from closing the connection."""


async def job_events(
    views: AsyncIterator[JobView], closing: asyncio.Event, root_path: str = ""
) -> AsyncGenerator[str, None]:
    """Yield `event: job` for each view, until the views end or the service stops."""
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
            yield f"event: job\ndata: {job_answer(view, root_path).model_dump_json()}\n\n"
            next_view = asyncio.ensure_future(_next(views))
    finally:
        stop.cancel()
        next_view.cancel()
        await asyncio.gather(stop, next_view, return_exceptions=True)
        if isinstance(views, AsyncGenerator):
            await views.aclose()


async def _next(views: AsyncIterator[JobView]) -> JobView | None:
    """Return the next view; None at the end, also if the job has expired meanwhile."""
    try:
        return await anext(views, None)
    except JobNotFound:
        return None
