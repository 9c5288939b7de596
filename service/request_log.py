"""Request log: id, span, log line, metrics and common headers of every request."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import GatewayMetrics
from telemetry.logs import log_context
from telemetry.spans import Attribute, Span, Tracing, Untraced
from telemetry.trace_context import read_traceparent

log = logging.getLogger("anysr.requests")

FAILED = 500
"""Least status that marks a span as failed: errors of the caller (4xx) do not."""

CALLERS_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNMATCHED = "unmatched"
"""Route of a request that matches none, because its path must not become a label."""

STATIC = "/static"
"""Route of every file of the page."""

QUIET = frozenset(
    {
        *("/health/live", "/health/ready", "/metrics"),
        *("/v2/health/live", "/v2/health/ready"),
    }
)
"""Routes that monitoring polls every few seconds: logged at DEBUG and never traced."""

SEMANTIC = {
    "route": "http.route",
    "method": "http.request.method",
    "status": "http.response.status_code",
}

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class RequestLog:
    """ASGI middleware, the outermost one.

    It sets in `scope["state"]`: `request_id`; `started` (time.monotonic()); `span`, in which routes
    enter the stages of their work; `facts`, a dictionary to which routes add fields of log line
    and span; and `headers`, one to which they add headers of whatever answer follows.
    """

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; then write metrics, span and log line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        started = time.monotonic()
        facts: dict[str, Any] = {}
        added: dict[str, str] = {}
        headers = Headers(scope=scope)
        span = self._begin(scope, headers)
        scope.setdefault("state", {}).update(
            request_id=request_id, started=started, facts=facts, headers=added, span=span
        )
        correlation = headers.get("x-request-id", "")
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(raw=message["headers"])
                if added:
                    answered.update(added)
                _add_headers(answered, request_id, correlation)
            await send(message)

        with log_context(request_id=request_id, trace_id=span.context.trace_id):
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                self._write(scope, status or 499, time.monotonic() - started)

    def _begin(self, scope: Scope, headers: Headers) -> Span:
        tracing = Untraced() if scope["path"] in QUIET else self._tracing
        parent = read_traceparent(headers.get("traceparent"))
        return tracing.begin(scope["method"], "server", parent)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        route, method, state = _route(scope), scope["method"], scope["state"]
        span: Span = state["span"]
        facts = {
            "request_id": state["request_id"],
            "route": route,
            "method": method,
            "status": status,
            "elapsed_ms": round(seconds * 1e3, 2),
            **state["facts"],
        }
        trace_id = span.context.trace_id
        self._metrics.request(route, method, status, seconds, trace_id)
        if status >= HTTPStatus.BAD_REQUEST and "reason" in state["facts"]:
            self._metrics.problem(state["facts"]["reason"])
        if "client" in facts:
            self._metrics.client_request(facts["client"], status)
        error = str(facts.get("reason", status)) if status >= FAILED else None
        span.end(f"{method} {route}", attributes_of(facts), error)
        level = logging.DEBUG if route in QUIET else logging.INFO
        log.log(level, "%s %s %d", method, route, status, extra={"trace_id": trace_id, **facts})


def _route(scope: Scope) -> str:
    if isinstance(scope.get("endpoint"), StaticFiles):
        return STATIC
    template: str = getattr(scope.get("route"), "path", UNMATCHED)
    return template


def attributes_of(facts: Mapping[str, Any]) -> dict[str, Attribute]:
    """Return a request's facts by OpenTelemetry's attribute names, or prefixed with `anysr.`."""
    return {SEMANTIC.get(name, f"anysr.{name}"): value for name, value in facts.items()}


def _add_headers(headers: MutableHeaders, request_id: str, correlation: str) -> None:
    headers.setdefault("X-Request-ID", request_id)
    if CALLERS_ID.fullmatch(correlation):
        headers["X-Correlation-ID"] = correlation
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
