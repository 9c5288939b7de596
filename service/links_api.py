"""GET /image: the picture of a signed link."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from jobs.formats import ImageFormat
from service.gateway import Gateway, GatewayDep
from service.links.formats import format_for_page
from service.links.freshness import matches, max_age, tag_of
from service.links.request import as_upscale, fixed_format
from service.links.signature import canonical, link_key_of, seconds_left
from service.negotiation import VARY
from service.openapi import (
    NOT_ACCEPTABLE,
    RUN_CODES,
    UPLOAD_CODES,
    image_request,
    picture_answer,
    problem_answers,
    refusals,
)
from service.result_cache.digests import HASHED_AT_ONCE_BYTES
from service.upscale_api import upscaled

log = logging.getLogger(__name__)

router = APIRouter(tags=["links"])


@router.get(
    "/image",
    summary="See the picture of a signed link",
    response_class=Response,
    responses={
        200: picture_answer(),
        304: {"description": "The picture is the one that the caller has."},
        **refusals(NOT_ACCEPTABLE),
        **problem_answers(
            *("signature_invalid", "link_expired", "links_disabled", "result_expired"),
            *(*UPLOAD_CODES, *RUN_CODES),
        ),
    },
    openapi_extra=image_request(),
)
async def image(request: Request, gateway: GatewayDep) -> Response:
    """An address that a web page can show: the service fetches `src`, and answers with the picture
    in the best format that the Accept header names. `anysr link` makes and signs such addresses."""
    pairs = request.query_params.multi_items()
    keys = [link_key_of(key.get_secret_value()) for key in gateway.settings.link_keys]
    left_s = seconds_left(pairs, keys, time.time())
    accept = request.headers.get("accept", "")
    chosen = None if fixed_format(pairs) else format_for_page(accept)
    vary = {} if chosen is None else VARY
    name = _name(canonical(pairs), chosen)
    known = await gateway.queue.cached.validator(name)
    if known is not None and matches(request.headers.get("if-none-match", ""), known[0]):
        return _unchanged(known[0], min(known[1], left_s), vary)
    return await _made(request, as_upscale(request, pairs, chosen), gateway, name, left_s, vary)


async def _made(
    request: Request,
    wanted: Request,
    gateway: Gateway,
    name: str,
    left_s: float,
    vary: Mapping[str, str],
) -> Response:
    finished, response = await upscaled(wanted, gateway, by_id=False)
    try:
        tag = await _tag(finished.picture)
        seconds = max_age(left_s, gateway.settings.link_seconds, finished.view.facts)
        if seconds:
            await _remember(gateway, name, tag, seconds)
    except BaseException:
        finished.share.release()
        raise
    if matches(request.headers.get("if-none-match", ""), tag):
        finished.share.release()
        return _unchanged(tag, seconds, vary)
    response.headers.update(_headers(tag, seconds, vary))
    return response


async def _tag(picture: bytes) -> str:
    if len(picture) <= HASHED_AT_ONCE_BYTES:
        return tag_of(picture)
    return await run_in_threadpool(tag_of, picture)


async def _remember(gateway: Gateway, name: str, tag: str, seconds: int) -> None:
    try:
        await gateway.queue.cached.remember_validator(name, tag, seconds)
    except ConnectionError as error:
        log.warning("the validator of a link cannot be stored: %s", error)


def _unchanged(tag: str, seconds: float, vary: Mapping[str, str]) -> Response:
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_headers(tag, seconds, vary))


def _headers(tag: str, seconds: float, vary: Mapping[str, str]) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": f"public, max-age={int(seconds)}", **vary}


def _name(query: str, chosen: ImageFormat | None) -> str:
    """Return the name under which the validator of a link is remembered in one format."""
    named = f"{'' if chosen is None else chosen.value}\n{query}"
    return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()
