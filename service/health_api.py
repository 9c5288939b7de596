"""Routes for monitoring: health and metrics, in full or for callers from anywhere."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from jobs.errors import NotReady
from jobs.outages import PICTURES_UNREACHABLE
from service.admission import NOT_READY_RETRY_S, not_ready
from service.answers.health import LiveAnswer, ReadyAnswer, StatusAnswer, ready_answer
from service.gateway import Gateway, GatewayDep
from service.openapi import problem_answers

full = APIRouter(tags=["service"])
"""All that the service knows of itself."""
public = APIRouter(tags=["service"])
"""What callers of a gateway see whose metrics have a port of their own."""

EXPOSITIONS = ("text/plain", "application/openmetrics-text")


@full.get("/health/live", summary="Whether the process runs")
@public.get("/health/live", summary="Whether the process runs")
async def live() -> LiveAnswer:
    """Always 200."""
    return LiveAnswer()


@full.get(
    "/health/ready",
    summary="Whether the service accepts jobs",
    responses=problem_answers("not_ready"),
)
async def ready(gateway: GatewayDep) -> ReadyAnswer:
    """200 if a worker is warm, and the bucket of the pictures, if any, answers; else 503. Both
    answers hold the workers and the queue as they were `snapshot_age_ms` ago; none if the queue
    could not be reached for too long. `broken` lists the entries of a model folder that could not
    be loaded; it does not change the status."""
    answer = ready_answer(gateway.snapshots.current, gateway.snapshots.age_s, gateway.catalogs)
    check_ready(gateway, **answer.model_dump(exclude={"status"}))
    return answer


@public.get(
    "/health/ready",
    summary="Whether the service accepts jobs",
    responses=problem_answers("not_ready"),
)
async def ready_status(gateway: GatewayDep) -> StatusAnswer:
    """200 if a worker is warm, else 503. Workers and queue are shown on the port of the metrics."""
    check_ready(gateway)
    return StatusAnswer()


def check_ready(gateway: Gateway, **members: Any) -> None:
    """Raise NotReady with these members unless the service accepts jobs."""
    if gateway.closing.is_set():
        raise NotReady("The gateway is stopping.", retry_after_s=NOT_READY_RETRY_S)
    upkeep = gateway.queue.upkeep
    if upkeep is not None and upkeep.fault is not None:
        raise NotReady(PICTURES_UNREACHABLE, retry_after_s=NOT_READY_RETRY_S, **members)
    if not gateway.snapshots.current.ready:
        raise not_ready(gateway.snapshots.current, **members)


@full.get(
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
