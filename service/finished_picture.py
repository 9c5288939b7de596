"""The picture of an accepted job, for the routes whose request waits for it."""

from __future__ import annotations

from functools import partial

from fastapi import Request

from jobs.job import JobView
from service.caller_gone import gone
from service.dispatcher import Finished, decision_of
from service.gateway import Gateway
from service.idempotency import Asked
from service.picture_response import deadline_text
from service.submission import Accepted


async def finished_picture(request: Request, gateway: Gateway, accepted: Accepted) -> Finished:
    """Wait for the picture of a job, for as long as its caller does, and add the worker's decision
    and the deadline's outcome to log line and span. Raises as `Dispatcher.wait_for_picture`."""
    request.state.span.enter("wait")
    finished = await gateway.dispatcher.wait_for_picture(
        accepted.view, accepted.received, partial(gone, request), accepted.asked
    )
    request.state.span.enter("answer")
    request.state.facts.update(
        decision_of(finished.view), deadline=deadline_text(finished.view.job, finished.elapsed_ms)
    )
    return finished


def picture_sent(gateway: Gateway, view: JobView, count: int, asked: Asked) -> None:
    """Count the picture of `count` bytes that the caller has, and drop it from the queue unless it
    may be asked for again."""
    gateway.metrics.picture_sent(count)
    if asked is Asked.ONCE:
        gateway.dispatcher.drop_result_soon(view)
