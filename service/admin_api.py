"""What only an operator may do, by the admin key."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from jobs.errors import AdminDisabled, Unauthorized
from service.answers import ReloadAnswer
from service.gateway import Gateway, gateway_of
from service.openapi import problem_answers

Here = Annotated[Gateway, Depends(gateway_of)]
Given = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="ANYSR_ADMIN_KEY")),
]


def admitted_by_key(gateway: Here, given: Given) -> None:
    """Let nobody pass without the admin key. Raises AdminDisabled and Unauthorized."""
    key = gateway.settings.admin_key
    if key is None:
        raise AdminDisabled
    shown = given.credentials if given is not None else ""
    if not hmac.compare_digest(shown.encode(), key.get_secret_value().encode()):
        raise Unauthorized


router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    dependencies=[Depends(admitted_by_key)],
    responses=problem_answers("unauthorized", "admin_disabled", "not_ready"),
)


@router.post("/reload", status_code=202, summary="Read the models again, everywhere")
async def reload(gateway: Here) -> ReloadAnswer:
    """Calls on every gateway and worker of this queue to read its own model folder again. Each
    follows in its own time: `GET /health/ready` tells by `reloads` who has, and what is broken."""
    number = await gateway.queue.registry.request_reload()
    gateway.catalogs.calls.observe(number)
    return ReloadAnswer(reloads=number)
