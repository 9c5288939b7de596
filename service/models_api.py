"""GET /models: what the service offers."""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.access.caller import caller_of
from service.answers.models import ModelsAnswer, models_answer
from service.gateway import GatewayDep
from service.openapi import ACCESS_CODES, problem_answers

router = APIRouter(tags=["service"])


@router.get(
    "/models", summary="The models and the limits", responses=problem_answers(*ACCESS_CODES)
)
async def models(request: Request, gateway: GatewayDep) -> ModelsAnswer:
    """Names, widths, scales and measured quality of all models; `default` names the default one.
    `limits` are those on requests and outputs."""
    settings = gateway.settings
    budget_ms = caller_of(request).largest_budget_ms(settings.max_budget_ms)
    return models_answer(gateway.catalogs.catalog, settings, gateway.snapshots.current, budget_ms)
