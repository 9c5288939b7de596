"""The guard of routes that need a key. It runs before a body is read, so that neither a wrong key
nor a used-up quota costs an upload."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from jobs.errors import Unauthorized
from service.access.authentication import client_with
from service.access.key_store import KeyStore
from service.access.keys import Client
from service.access.rate_headers import rate_headers
from service.gateway import Gateway, GatewayDep

INVALID_TOKEN = 'Bearer error="invalid_token"'

Credentials = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(
        HTTPBearer(
            scheme_name="ClientKey",
            description="A key of this service: anysr_<id>_<secret>.",
            auto_error=False,
        )
    ),
]


async def require_client(request: Request, gateway: GatewayDep, credentials: Credentials) -> None:
    """Find the client of a request, and count the request. A POST is taken to submit a job.

    Raises Unauthorized, RateLimited, QuotaExceeded, TooManyJobs, and ConnectionError while what is
    left cannot be counted.
    """
    if gateway.keys is None:
        return
    client = _authenticated(request, gateway.keys, credentials)
    request.state.client = client
    request.state.facts["client"] = client.name
    if client.limits.counted:
        await _count(request, gateway, client)


def _authenticated(
    request: Request, keys: KeyStore, credentials: HTTPAuthorizationCredentials | None
) -> Client:
    if credentials is None:
        raise Unauthorized
    client = client_with(credentials.credentials, keys.ring)
    if client is None:
        request.state.headers["WWW-Authenticate"] = INVALID_TOKEN
        raise Unauthorized("This key is malformed, unknown or revoked.")
    return client


async def _count(request: Request, gateway: Gateway, client: Client) -> None:
    submits = request.method == "POST"
    allowance = await gateway.queue.clients.allow(client.limits, submits=submits)
    request.state.allowance = allowance
    request.state.headers.update(rate_headers(client.limits, allowance))
    if allowance.refusal is not None:
        raise allowance.refusal


GUARDED = [Depends(require_client)]
"""Dependencies of the routes that need a key; only a gateway with keys has them."""
