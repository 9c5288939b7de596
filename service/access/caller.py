"""The client of a request, as the guard of its route has found it."""

from __future__ import annotations

from fastapi import Request

from jobs.client_limits import Allowance
from service.access.keys import ANYONE, Client


def caller_of(request: Request) -> Client:
    """Return the client of a request; ANYONE where the gateway has no keys."""
    client: Client = getattr(request.state, "client", ANYONE)
    return client


def allowance_of(request: Request) -> Allowance | None:
    """Return what the client had left at the beginning of a request; None where nothing is
    counted."""
    allowance: Allowance | None = getattr(request.state, "allowance", None)
    return allowance
