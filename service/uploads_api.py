"""POST /uploads: a place in the bucket for a picture, which its caller writes there directly."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from jobs.errors import BodyTooLarge
from service.access.caller import caller_of
from service.access.keys import ANYONE
from service.gateway import GatewayDep
from service.openapi import (
    ACCESS_CODES,
    UPLOAD_REFUSALS,
    problem_answers,
    refusals,
    upload_request,
)
from service.upload_order import UploadAnswer, read_order, upload_answer
from service.upload_slots import client_of

router = APIRouter(tags=["uploads"])

LONGEST_ORDER = 4096
"""Bytes of a body."""
CODES = (
    *("invalid_request", "body_too_large", "overloaded", "uploads_disabled", "not_ready"),
    *("quota_exceeded", "too_many_jobs", *ACCESS_CODES),
)


@router.post(
    "/uploads",
    summary="Get a URL to upload a picture to",
    status_code=201,
    response_model=UploadAnswer,
    responses={**refusals(*UPLOAD_REFUSALS), **problem_answers(*CODES)},
    openapi_extra=upload_request(),
)
async def create_upload(request: Request, response: Response, gateway: GatewayDep) -> UploadAnswer:
    """PUT the picture to the URL in the answer, with the headers there; then name the upload by
    `upload` in `POST /upscale` or `POST /jobs`, with the same key. Each takes one picture, for one
    request."""
    uploads = gateway.uploads.stored.enabled
    order = read_order(await gateway.uploads.text(request, LONGEST_ORDER))
    most = gateway.settings.max_body_bytes
    if order.bytes > most:
        raise BodyTooLarge(f"An upload may have {most} bytes.", max_body_bytes=most)
    client = caller_of(request)
    anyone = client is ANYONE
    new = await uploads.create(
        "" if anyone else client.name,
        f"at:{client_of(request)}" if anyone else f"of:{client.name}",
        order.content_type,
        order.bytes,
        gateway.settings.open_uploads,
    )
    response.headers["Cache-Control"] = "no-store"
    return upload_answer(new)
