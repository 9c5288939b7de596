"""Metadata and readiness of a model. Each route is there with and without a version."""

from __future__ import annotations

from fastapi import APIRouter

from jobs.errors import NotReady
from service.admission import NOT_READY_RETRY_S
from service.gateway import GatewayDep
from service.health_api import check_ready
from service.inference.error_form import PREFIX
from service.inference.model_name import VERSIONED, ModelDep
from service.inference.openapi import model_answers
from service.inference.protocol import ModelMetadata, ModelReady

router = APIRouter(prefix=f"{PREFIX}/models/{{name}}", tags=["inference"])

METADATA = "Inputs and outputs of a model"
READY = "Whether a model is ready"


@router.get(
    "/versions/{version}",
    summary=METADATA,
    name="model_version_metadata",
    dependencies=VERSIONED,
    responses=model_answers(),
)
@router.get("", summary=METADATA, responses=model_answers())
async def model_metadata(model: ModelDep) -> ModelMetadata:
    """Names, types and shapes of the inputs, of which a request sends one, and of the output."""
    return ModelMetadata(name=model)


@router.get(
    "/versions/{version}/ready",
    summary=READY,
    name="model_version_ready",
    dependencies=VERSIONED,
    responses=model_answers("not_ready"),
)
@router.get("/ready", summary=READY, responses=model_answers("not_ready"))
async def model_ready(model: ModelDep, gateway: GatewayDep) -> ModelReady:
    """200 if a worker has the model warm, else 503. A model that is loaded on demand gets ready by
    the first inference, which itself gets 503."""
    check_ready(gateway)
    if not gateway.snapshots.current.ready_for(model.requirement):
        raise NotReady(f"No worker has the model {model} warm.", retry_after_s=NOT_READY_RETRY_S)
    return ModelReady(name=model)
