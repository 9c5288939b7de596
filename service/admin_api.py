"""Routes of /admin, for operators with the admin key."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from jobs.errors import AdminDisabled, Unauthorized, WebhookNotFound
from service.answers.batch import BatchAnswer
from service.answers.ended import answer_of
from service.answers.health import ReloadAnswer
from service.answers.job import JobAnswer
from service.gateway import GatewayDep
from service.jobs_api import JobId
from service.openapi import problem_answers

Credentials = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="ANYSR_ADMIN_KEY")),
]


async def require_admin_key(gateway: GatewayDep, credentials: Credentials) -> None:
    """Raise AdminDisabled if no key is set, and Unauthorized unless the request carries it."""
    key = gateway.settings.admin_key
    if key is None:
        raise AdminDisabled
    given = credentials.credentials if credentials is not None else ""
    if not hmac.compare_digest(given.encode(), key.get_secret_value().encode()):
        raise Unauthorized("This needs the admin key: Authorization: Bearer <ANYSR_ADMIN_KEY>.")


router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    dependencies=[Depends(require_admin_key)],
    responses=problem_answers("unauthorized", "admin_disabled", "not_ready"),
)

MOST_LISTED = 1000
"""As many as are kept."""


@router.post("/reload", status_code=202, summary="Reload the models in all gateways and workers")
async def reload(gateway: GatewayDep) -> ReloadAnswer:
    """Requests that every gateway and worker of this queue reads its own model folder again. Each
    follows in its own time: `reloads` in `GET /health/ready` shows which have, and `broken` what
    could not be loaded."""
    number = await gateway.queue.registry.request_reload()
    gateway.catalogs.reload_requests.observe(number)
    return ReloadAnswer(reloads=number)


@router.get("/webhooks/dead", summary="List what was given up")
async def dead_webhooks(gateway: GatewayDep) -> list[JobAnswer | BatchAnswer]:
    """The jobs and batches whose webhook was given up, and the jobs whose picture could not be put
    where it should go, newest first."""
    views = await gateway.queue.deliveries.dead(MOST_LISTED)
    return [answer_of(view, gateway.settings.root_path) for view in views]


@router.post(
    "/webhooks/{job_id}/resend",
    status_code=202,
    summary="Deliver again what was given up",
    responses=problem_answers("webhook_not_found"),
)
async def resend_webhook(job_id: JobId, gateway: GatewayDep) -> None:
    """Makes it due at once, to be tried for as long as at first: a picture and then the job's
    webhook, or the webhook alone."""
    if not await gateway.queue.deliveries.resend(job_id):
        raise WebhookNotFound
