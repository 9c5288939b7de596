"""GET /models: what the service offers."""

from __future__ import annotations

from fastapi import APIRouter

from service.answers.models import ModelsAnswer, models_answer
from service.gateway import GatewayDep

router = APIRouter(tags=["service"])


@router.get("/models", summary="The models and the limits")
async def models(gateway: GatewayDep) -> ModelsAnswer:
    """Names, widths, scales and measured quality of all models; `default` names the default one.
    `limits` are those on requests and outputs."""
    return models_answer(gateway.catalogs.catalog, gateway.settings, gateway.snapshots.current)
