"""POST /upscale: accepts a picture and answers with the upscaled one."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.default_budgets import upscale_default
from service.dispatcher import Finished
from service.finished_picture import finished_picture, picture_sent, settle
from service.gateway import Gateway, gateway_of
from service.idempotency import REPLAYED_HEADERS, Asked
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
from service.picture_response import picture_response
from service.result_cache.requests import cache_headers
from service.submission import accept_upload

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
async def upscale(request: Request) -> Response:
    """Send a picture with a target size and a latency budget; the answer is the best picture that
    fits the budget. A caller that disconnects cancels its job, except with an Idempotency-Key."""
    _, response = await upscaled(request, gateway_of(request))
    return response


async def upscaled(
    request: Request, gateway: Gateway, *, by_id: bool = True
) -> tuple[Finished, Response]:
    """Return the picture that a request asks for, and the response with it, which releases the
    picture's room at its end. With `by_id`, a caller that leaves before that can fetch the picture
    by the job's id."""
    default = upscale_default(gateway.settings)
    accepted = await accept_upload(request, gateway, default, format_of_answer)

    finished = await finished_picture(request, gateway, accepted)
    if not by_id:
        settle(gateway, finished, accepted)
    response = picture_response(
        finished.view,
        finished.picture,
        finished.elapsed_ms,
        accepted.upload_ms,
        on_sent=partial(picture_sent, gateway, finished, accepted if by_id else None),
        on_end=finished.share.release,
    )
    response.headers.update(VARY if accepted.negotiated else {})
    response.headers.update(REPLAYED_HEADERS if accepted.asked is Asked.AGAIN else {})
    response.headers.update(cache_headers(accepted.sought, accepted.hit))
    return finished, response
