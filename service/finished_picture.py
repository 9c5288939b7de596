"""The picture of an accepted job, for the routes whose request waits for it."""

from __future__ import annotations

from functools import partial

from fastapi import Request

from service.caller_gone import gone
from service.dispatcher import Finished, decision_of
from service.gateway import Gateway
from service.idempotency import Asked
from service.metrics import HIT
from service.picture_response import deadline_text
from service.submission import Accepted


async def finished_picture(request: Request, gateway: Gateway, accepted: Accepted) -> Finished:
    """Return a picture from the result cache, or wait for that of a job, for as long as its caller
    does; and add the worker's decision and the deadline's outcome to log line and span. Raises as
    `Dispatcher.wait_for_picture`."""
    request.state.span.enter("wait")
    finished = await _finished(request, gateway, accepted)
    request.state.span.enter("answer")
    request.state.facts.update(
        decision_of(finished.view), deadline=deadline_text(finished.view.job, finished.elapsed_ms)
    )
    return finished


async def _finished(request: Request, gateway: Gateway, accepted: Accepted) -> Finished:
    hit = accepted.hit
    if hit is not None:
        request.state.facts["cache"] = HIT
        if hit.finished is not None:
            return hit.finished
    # The job of a hit has ended already, like that of an earlier request.
    asked = accepted.asked if hit is None else Asked.AGAIN
    return await gateway.dispatcher.wait_for_picture(
        accepted.view, accepted.received, partial(gone, request), asked
    )


def picture_sent(gateway: Gateway, finished: Finished, unsettled: Accepted | None) -> None:
    """Count the picture that the caller has, and settle it, unless that was done before."""
    gateway.metrics.picture_sent(len(finished.picture))
    if unsettled is not None:
        settle(gateway, finished, unsettled)


def settle(gateway: Gateway, finished: Finished, accepted: Accepted) -> None:
    """Keep a result for further requests, and drop it from the queue unless it may be asked for
    again."""
    if accepted.hit is not None or accepted.asked is Asked.AGAIN:
        return
    once = accepted.asked is Asked.ONCE
    if gateway.cache is not None and accepted.sought is not None:
        gateway.cache.keep_soon(finished.view, accepted.sought, move=once)
    elif once:
        gateway.dispatcher.drop_result_soon(finished.view)
