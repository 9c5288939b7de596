"""GET /estimate: what a picture would take, told before it is sent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from images.header import check_pixels
from scheduling.planning import Budgets, build_job
from scheduling.request import parse_estimate
from service.answers import EstimateAnswer, estimate_answer
from service.budgets import upscale_default
from service.gateway import Gateway, gateway_of
from service.openapi import ESTIMATE_CODES, estimate_request, problem_answers
from service.submission import wanted_of

router = APIRouter(tags=["upscale"])


@router.get(
    "/estimate",
    summary="See what a picture would take",
    responses=problem_answers(*ESTIMATE_CODES),
    openapi_extra=estimate_request(),
)
async def estimate(
    request: Request, response: Response, gateway: Annotated[Gateway, Depends(gateway_of)]
) -> EstimateAnswer:
    """Describe a picture, and say how large it shall become: the answer tells in which ways it
    could be made, how long each takes and how good it is, and which budgets fit. Planned and
    weighed as `POST /upscale` does it; nothing is queued, and no model is loaded."""
    request.state.span.enter("admission")
    asked = parse_estimate(request.query_params.multi_items())
    settings = gateway.settings
    check_pixels(asked.width, asked.height, settings.max_source_pixels)
    default = upscale_default(settings)
    job = build_job(
        request.state.request_id,
        asked.with_picture(),
        asked.header(),
        gateway.catalogs.catalog,
        settings.max_output_pixels,
        Budgets(default.least_ms, settings.max_budget_ms),
    )
    request.state.facts.update(wanted_of(job))
    answer = estimate_answer(await gateway.dispatcher.assess(job, default))
    response.headers["Cache-Control"] = "no-store"
    return answer
