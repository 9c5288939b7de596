"""Around every request: its id, one log line, its metrics, and the headers of all answers."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import GatewayMetrics

log = logging.getLogger("anysr.requests")

CALLERS_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNMATCHED = "unmatched"
"""The route of a request that none matches: its path must not become a label."""

STATIC = "/static"
"""The route of every file of the page."""

QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
"""Routes that machines ask every few seconds: logged at DEBUG, lest they drown the rest."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class RequestLog:
    """ASGI middleware, the outermost one.

    It lays in `scope["state"]`: `request_id`, `started` (time.monotonic()) and `facts`, a
    dictionary to which routes add what the log line shall say.
    """

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and write down how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        started = time.monotonic()
        facts: dict[str, Any] = {}
        scope.setdefault("state", {}).update(request_id=request_id, started=started, facts=facts)
        correlation = Headers(scope=scope).get("x-request-id", "")
        status = 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _dress(MutableHeaders(raw=message["headers"]), request_id, correlation)
            await send(message)

        try:
            await self._app(scope, receive, dressed)
        finally:
            self._write(scope, status or 499, time.monotonic() - started)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        self._metrics.request(route, scope["method"], status, seconds)
        line = {
            "request_id": scope["state"]["request_id"],
            "route": route,
            "method": scope["method"],
            "status": status,
            "elapsed_ms": round(seconds * 1e3, 2),
            **scope["state"]["facts"],
        }
        log.log(logging.DEBUG if route in QUIET else logging.INFO, json.dumps(line))


def _route(scope: Scope) -> str:
    if isinstance(scope.get("endpoint"), StaticFiles):
        return STATIC
    template: str = getattr(scope.get("route"), "path", UNMATCHED)
    return template


def _dress(headers: MutableHeaders, request_id: str, correlation: str) -> None:
    headers.setdefault("X-Request-ID", request_id)
    if CALLERS_ID.fullmatch(correlation):
        headers["X-Correlation-ID"] = correlation
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
