"""POST /upscale: accepts a picture and answers with the upscaled one."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.default_budgets import upscale_default
from service.finished_picture import finished_picture, picture_sent
from service.gateway import GatewayDep
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
async def upscale(request: Request, gateway: GatewayDep) -> Response:
    """Send a picture with a target size and a latency budget; the answer is the best picture that
    fits the budget. A caller that disconnects cancels its job, except with an Idempotency-Key."""
    default = upscale_default(gateway.settings)
    accepted = await accept_upload(request, gateway, default, format_of_answer)

    finished = await finished_picture(request, gateway, accepted)
    response = picture_response(
        finished.view,
        finished.picture,
        finished.elapsed_ms,
        accepted.upload_ms,
        on_sent=partial(
            picture_sent, gateway, finished.view, len(finished.picture), accepted.asked
        ),
        on_end=finished.share.release,
    )
    response.headers.update(VARY if accepted.negotiated else {})
    response.headers.update(REPLAYED_HEADERS if accepted.asked is Asked.AGAIN else {})
    return response
