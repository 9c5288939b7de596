"""Routes for the state of the service: models, health, metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from jobs.errors import NotReady
from service.admission import NOT_READY_RETRY_S, not_ready
from service.answers.health import LiveAnswer, ReadyAnswer, ready_answer
from service.answers.models import ModelsAnswer, models_answer
from service.gateway import GatewayDep
from service.openapi import problem_answers

router = APIRouter(tags=["service"])

EXPOSITIONS = ("text/plain", "application/openmetrics-text")


@router.get("/models", summary="The models and the limits")
async def models(gateway: GatewayDep) -> ModelsAnswer:
    """Names, widths, scales and measured quality of all models; `default` names the default one.
    `limits` are those on requests and outputs."""
    return models_answer(gateway.catalogs.catalog, gateway.settings, gateway.snapshots.current)


@router.get("/health/live", summary="Whether the process runs")
async def live() -> LiveAnswer:
    """Always 200."""
    return LiveAnswer()


@router.get(
    "/health/ready",
    summary="Whether the service accepts jobs",
    responses=problem_answers("not_ready"),
)
async def ready(gateway: GatewayDep) -> ReadyAnswer:
    """200 if a worker is warm, else 503. Both answers hold the workers and the queue as they were
    `snapshot_age_ms` ago; none if the queue could not be reached for too long. `broken` lists the
    entries of a model folder that could not be loaded; it does not change the status."""
    snapshot = gateway.snapshots.current
    answer = ready_answer(snapshot, gateway.snapshots.age_s, gateway.catalogs)
    if gateway.closing.is_set():
        raise NotReady("The gateway is stopping.", retry_after_s=NOT_READY_RETRY_S)
    if not snapshot.ready:
        members = answer.model_dump(exclude={"status"})
        raise not_ready(snapshot, **members)
    return answer


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {kind: {"schema": {"type": "string"}} for kind in EXPOSITIONS}}},
)
async def metrics(request: Request, gateway: GatewayDep) -> Response:
    """Metrics of this gateway, of the queue and of all workers; workers serve their own as well.
    A client that accepts OpenMetrics gets latencies with trace ids as exemplars."""
    gateway.metrics.show(gateway.snapshots.current, gateway.snapshots.age_s)
    text, content_type = gateway.metrics.exposition(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": content_type})
