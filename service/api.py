"""POST /upscale: a picture in, a picture out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from service.budgets import upscale_default
from service.dispatcher import Finished, decision_of
from service.gateway import Gateway, gateway_of
from service.openapi import (
    INTAKE_CODES,
    RUN_CODES,
    picture_answer,
    problem_answers,
    upscale_request,
)
from service.pictures import deadline_text, picture_response
from service.submission import accept_upload

router = APIRouter(tags=["upscale"])


@router.post(
    "/upscale",
    summary="Upscale a picture within a latency budget",
    response_class=Response,
    responses={200: picture_answer(), **problem_answers(*INTAKE_CODES, *RUN_CODES)},
    openapi_extra=upscale_request(),
)
async def upscale(request: Request, gateway: Annotated[Gateway, Depends(gateway_of)]) -> Response:
    """Send a picture and say how large it shall become and how long that may take; the answer
    is the best picture that fits. A caller that disconnects cancels its job."""
    accepted = await accept_upload(request, gateway, upscale_default(gateway.settings))

    request.state.span.enter("wait")

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    finished = await gateway.dispatcher.finish(accepted.view, accepted.received, gone)
    request.state.span.enter("answer")
    _note(request, finished)
    return picture_response(
        finished.view, finished.picture, finished.elapsed_ms, accepted.upload_ms
    )


def _note(request: Request, finished: Finished) -> None:
    """Leave for the log line what was decided, and how it ended."""
    request.state.facts.update(
        decision_of(finished.view), deadline=deadline_text(finished.view.job, finished.elapsed_ms)
    )
