"""GET /v2 and the health of the server. No key is needed, as for GET /health."""

from __future__ import annotations

from fastapi import APIRouter

from service.gateway import GatewayDep
from service.health_api import check_ready
from service.inference.error_form import PREFIX
from service.inference.openapi import server_answers
from service.inference.protocol import ServerLive, ServerMetadata, ServerReady
from telemetry.build import package_version

router = APIRouter(prefix=PREFIX, tags=["inference"])


@router.get("", summary="The server, for Open Inference clients", responses=server_answers())
async def server_metadata() -> ServerMetadata:
    """Name, version and extensions of the server."""
    return ServerMetadata(version=package_version())


@router.get("/health/live", summary="Whether the process runs", responses=server_answers())
async def server_live() -> ServerLive:
    """Always 200."""
    return ServerLive()


@router.get(
    "/health/ready",
    summary="Whether the service accepts inferences",
    responses=server_answers("not_ready"),
)
async def server_ready(gateway: GatewayDep) -> ServerReady:
    """200 if a worker is warm, else 503."""
    check_ready(gateway)
    return ServerReady()
