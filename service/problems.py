"""Error responses: the only place where errors become HTTP, as problem+json (RFC 9457), or in the
form of the Open Inference Protocol on its paths."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import AnysrError, InternalError, InvalidRequest, NotReady
from jobs.outages import seen_by_callers
from service.admission import NOT_READY_RETRY_S
from service.allowed_methods import allowed_methods
from service.caller_gone import CallerGone
from service.inference import error_form

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

CLIENT_CLOSED_REQUEST = 499
"""Status of a caller that has left, for log and metrics only."""

STATUS: Mapping[str, int] = {
    "empty_body": 400,
    "corrupt_image": 400,
    "webhooks_disabled": 400,
    "unauthorized": 401,
    "admin_disabled": 403,
    "model_not_allowed": 403,
    "signature_invalid": 403,
    "link_expired": 403,
    "links_disabled": 403,
    "address_refused": 403,
    "source_not_allowed": 403,
    "bucket_not_allowed": 403,
    "result_not_allowed": 403,
    "uploads_disabled": 403,
    "job_not_found": 404,
    "upload_not_found": 404,
    "batch_not_found": 404,
    "webhook_not_found": 404,
    "job_not_finished": 409,
    "job_cancelled": 409,
    "upload_unfilled": 409,
    "upload_used": 409,
    "model_not_trained": 409,
    "result_expired": 410,
    "body_too_large": 413,
    "image_too_large": 413,
    "output_too_large": 413,
    "unsupported_image": 415,
    "invalid_request": 422,
    "animated_image": 422,
    "decoding_too_long": 422,
    "unknown_model": 422,
    "unknown_width": 422,
    "idempotency_key_reused": 422,
    "budget_infeasible": 422,
    "quality_infeasible": 422,
    "remote_unreachable": 424,
    "remote_too_slow": 424,
    "too_many_redirects": 424,
    "remote_refused": 424,
    "source_changed": 424,
    "bucket_denied": 424,
    "object_not_found": 424,
    "bucket_not_found": 424,
    "overloaded": 429,
    "rate_limited": 429,
    "quota_exceeded": 429,
    "too_many_jobs": 429,
    "share_exceeded": 429,
    "internal_error": 500,
    "worker_lost": 500,
    "data_loss": 500,
    "not_durable": 501,
    "not_ready": 503,
    "not_durable_yet": 503,
    "deadline_exceeded": 504,
}
RETRY_STATUSES = frozenset({429, 503})


def problem(error: AnysrError, request_id: str) -> dict[str, Any]:
    """Return the members of an error; its details never replace a standard member."""
    return error.details | _members(error.code, STATUS[error.code], error.detail, request_id)


def _members(code: str, status: int, detail: str, request_id: str) -> dict[str, Any]:
    return {
        "type": f"urn:anysr:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }


def respond(error: AnysrError, request_id: str, path: str = "") -> Response:
    """Return the response for an error of a request for `path`, with Retry-After where waiting can
    help."""
    members = problem(error, request_id)
    headers = {}
    if members["status"] in RETRY_STATUSES:
        after = float(members.setdefault("retry_after_s", NOT_READY_RETRY_S))
        headers["Retry-After"] = str(max(1, math.ceil(after)))
    if members["status"] == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _response(members, headers, path)


def refusal(status: int, detail: str, request_id: str, path: str = "") -> Response:
    """Return the response for a refusal by HTTP's own rules, with the code of its status."""
    phrase = HTTPStatus(status).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    text = f"{phrase}." if detail == phrase else detail
    return _response(_members(code, status, text, request_id), {}, path)


def path_of(scope: Scope) -> str:
    """Return the path of a request without the prefix under which a proxy shows the service."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _response(members: Mapping[str, Any], headers: Mapping[str, str], path: str) -> Response:
    media_type, content = MEDIA_TYPE, members
    if error_form.speaks_protocol(path):
        media_type, content = error_form.MEDIA_TYPE, error_form.error_of(members)
    # ASCII only: a caller's text may hold what UTF-8 cannot.
    text = json.dumps(content, ensure_ascii=True, default=str)
    return Response(text, members["status"], headers, media_type)


def install(app: FastAPI) -> None:
    """Add the exception handlers, so that every error of a route is answered as a problem."""

    async def anysr_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, AnysrError)
        request.state.facts["reason"] = error.code
        return respond(error, request.state.request_id, path_of(request.scope))

    async def http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        request_id = request.state.request_id
        path = path_of(request.scope)
        response = refusal(error.status_code, error.detail, request_id, path)
        response.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = allowed_methods(app.routes, request.scope)
        return response

    async def validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()[:5])
        return await anysr_error(request, InvalidRequest(faults))

    async def queue_unreachable(request: Request, error: Exception) -> Response:
        log.warning("the queue cannot be reached: %s", error)
        assert isinstance(error, ConnectionError)
        return await anysr_error(request, NotReady(seen_by_callers(error)))

    async def caller_gone(request: Request, _: Exception) -> Response:
        request.state.facts["reason"] = "disconnected"
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(AnysrError, anysr_error)
    app.add_exception_handler(HTTPException, http_exception)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(ConnectionError, queue_unreachable)
    app.add_exception_handler(ClientDisconnect, caller_gone)
    app.add_exception_handler(CallerGone, caller_gone)


class UnhandledErrorMiddleware:
    """ASGI middleware: logs an unexpected exception, and answers `internal_error` without its
    traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; raise the exception again if the response has already started."""
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            request_id = scope["state"]["request_id"]
            log.exception("request %s failed", request_id)
            scope["state"]["facts"]["reason"] = InternalError.code
            await respond(InternalError(), request_id, path_of(scope))(scope, receive, send)
