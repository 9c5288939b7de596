"""GET /estimate: options and budgets for a picture, before it is sent."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from images.header import check_pixels
from scheduling.planning import Budgets, build_job
from scheduling.request import parse_estimate
from service.access.caller import caller_of
from service.answers.estimate import EstimateAnswer, estimate_answer
from service.default_budgets import upscale_default
from service.gateway import GatewayDep
from service.openapi import ESTIMATE_CODES, estimate_request, problem_answers
from service.submission import request_facts

router = APIRouter(tags=["upscale"])


@router.get(
    "/estimate",
    summary="Estimate time and quality for a picture",
    responses=problem_answers(*ESTIMATE_CODES),
    openapi_extra=estimate_request(),
)
async def estimate(request: Request, response: Response, gateway: GatewayDep) -> EstimateAnswer:
    """Describe a picture and its target size: the answer lists the options, with time, quality and
    budget of each. Planning and admission are those of `POST /upscale`; nothing is queued, and no
    model is loaded."""
    request.state.span.enter("admission")
    described = parse_estimate(request.query_params.multi_items())
    settings = gateway.settings
    check_pixels(described.width, described.height, settings.max_source_pixels)
    client = caller_of(request)
    largest_ms = client.largest_budget_ms(settings.max_budget_ms)
    default = upscale_default(settings).at_most(largest_ms)
    job = build_job(
        request.state.request_id,
        described.with_picture(),
        described.header(),
        gateway.catalogs.catalog,
        settings.limits,
        Budgets(default.least_ms, largest_ms),
    )
    job = client.owning(job)
    request.state.facts.update(request_facts(job))
    answer = estimate_answer(await gateway.dispatcher.assess(job, default))
    response.headers["Cache-Control"] = "no-store"
    return answer
