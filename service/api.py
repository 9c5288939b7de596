"""POST /upscale: a picture in, a picture out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from service.gateway import Gateway, gateway_of
from service.intake import take_order
from service.openapi import (
    INTAKE_CODES,
    RUN_CODES,
    picture_answer,
    problem_answers,
    upscale_request,
)
from service.pictures import deadline_text, picture_response

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
    order = await take_order(request, gateway, gateway.settings.default_budget_ms)
    await gateway.dispatcher.submit(order.job, order.picture, order.received)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    finished = await gateway.dispatcher.finish(order.job, order.received, gone)
    request.state.facts["deadline"] = deadline_text(order.job, finished.elapsed_ms)
    if finished.view.facts is not None:
        facts = finished.view.facts
        request.state.facts.update(model=facts.model, width=facts.width, reason=facts.reason)
    return picture_response(finished.view, finished.picture, finished.elapsed_ms, order.upload_ms)
