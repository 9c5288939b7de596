"""POST /upscale: accepts a picture and answers with the upscaled one."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.caller_gone import gone
from service.default_budgets import upscale_default
from service.dispatcher import Finished, decision_of
from service.gateway import Gateway, GatewayDep
from service.idempotency import REPLAYED_HEADERS, Asked
from service.metrics import HIT
from service.negotiation import VARY, format_of_answer
from service.openapi import (
    NOT_ACCEPTABLE,
    RUN_CODES,
    UPLOAD_CODES,
    UPLOAD_REFUSALS,
    picture_answer,
    problem_answers,
    refusals,
    upscale_request,
)
from service.picture_response import deadline_text, picture_response
from service.result_cache.requests import cache_headers
from service.submission import Accepted, accept_upload

router = APIRouter(tags=["upscale"])


@router.post(
    "/upscale",
    summary="Upscale a picture within a latency budget",
    response_class=Response,
    responses={
        200: picture_answer(),
        **refusals(*UPLOAD_REFUSALS, NOT_ACCEPTABLE),
        **problem_answers(*UPLOAD_CODES, *RUN_CODES, "result_expired"),
    },
    openapi_extra=upscale_request(),
)
async def upscale(request: Request, gateway: GatewayDep) -> Response:
    """Send a picture with a target size and a latency budget; the answer is the best picture that
    fits the budget. A caller that disconnects cancels its job, except with an Idempotency-Key."""
    _, response = await upscaled(request, gateway)
    return response


async def upscaled(
    request: Request, gateway: Gateway, *, by_id: bool = True
) -> tuple[Finished, Response]:
    """Return the picture that a request asks for, and the response with it, which releases the
    picture's room at its end. With `by_id`, a caller that leaves before that can fetch the picture
    by the job's id."""
    default = upscale_default(gateway.settings)
    accepted = await accept_upload(request, gateway, default, format_of_answer)

    request.state.span.enter("wait")
    finished = await _finished(request, gateway, accepted)
    request.state.span.enter("answer")
    _add_facts(request, finished)
    if not by_id:
        _settle(gateway, finished, accepted)
    response = picture_response(
        finished.view,
        finished.picture,
        finished.elapsed_ms,
        accepted.upload_ms,
        on_sent=partial(_sent, gateway, finished, accepted if by_id else None),
        on_end=finished.share.release,
    )
    response.headers.update(VARY if accepted.negotiated else {})
    response.headers.update(REPLAYED_HEADERS if accepted.asked is Asked.AGAIN else {})
    response.headers.update(cache_headers(accepted.sought, accepted.hit))
    return finished, response


async def _finished(request: Request, gateway: Gateway, accepted: Accepted) -> Finished:
    """Return the picture from the result cache, or wait for that of the job."""
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


def _sent(gateway: Gateway, finished: Finished, unsettled: Accepted | None) -> None:
    """Count the picture that the caller has."""
    gateway.metrics.picture_sent(len(finished.picture))
    if unsettled is not None:
        _settle(gateway, finished, unsettled)


def _settle(gateway: Gateway, finished: Finished, accepted: Accepted) -> None:
    """Keep a result for further requests, and drop it from the queue unless it may be asked for
    again."""
    if accepted.hit is not None or accepted.asked is Asked.AGAIN:
        return
    once = accepted.asked is Asked.ONCE
    if gateway.cache is not None and accepted.sought is not None:
        gateway.cache.keep_soon(finished.view, accepted.sought, move=once)
    elif once:
        gateway.dispatcher.drop_result_soon(finished.view)


def _add_facts(request: Request, finished: Finished) -> None:
    """Add the worker's decision and the deadline's outcome to log line and span."""
    request.state.facts.update(
        decision_of(finished.view), deadline=deadline_text(finished.view.job, finished.elapsed_ms)
    )
