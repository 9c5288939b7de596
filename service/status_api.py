"""What the service says of itself: models, health, metrics."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from jobs.errors import NotReady
from service.admission import NOT_READY_RETRY_S, not_ready
from service.answers import LiveAnswer, ModelsAnswer, ReadyAnswer, models_answer, ready_answer
from service.gateway import Gateway, gateway_of
from service.openapi import problem_answers

router = APIRouter(tags=["service"])

EXPOSITIONS = ("text/plain", "application/openmetrics-text")

Here = Annotated[Gateway, Depends(gateway_of)]


@router.get("/models", summary="The models and the limits")
async def models(gateway: Here) -> ModelsAnswer:
    """Names, widths, scales and measured quality; `default` runs when none is asked for.
    `limits` is what the service takes and makes at most."""
    return models_answer(gateway.catalogs.catalog, gateway.settings, gateway.keeper.current)


@router.get("/health/live", summary="Does the process run?")
async def live() -> LiveAnswer:
    """Always 200."""
    return LiveAnswer()


@router.get("/health/ready", summary="Can jobs be taken?", responses=problem_answers("not_ready"))
async def ready(gateway: Here) -> ReadyAnswer:
    """200 when a worker is warm, else 503; either with the workers and the queue, as the gateway
    saw them `snapshot_age_ms` ago: none when it could not see them for too long. A broken entry
    of a model folder is told with its reason, and changes nothing else."""
    snapshot = gateway.keeper.current
    answer = ready_answer(snapshot, gateway.keeper.age_s, gateway.catalogs)
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
async def metrics(request: Request, gateway: Here) -> Response:
    """Of this gateway, and of queue and workers as it sees them; a worker has its own. In
    OpenMetrics, to who accepts it, latencies have exemplars with the id of a trace."""
    gateway.metrics.show(gateway.keeper.current, gateway.keeper.age_s)
    text, content_type = gateway.metrics.exposition(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": content_type})
