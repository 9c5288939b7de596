"""Routes of /batches: submit, show, list, watch and cancel a batch."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from jobs.batch import BatchOrder, BatchView, NewBatch
from jobs.errors import BatchNotFound
from jobs.terms import Terms
from service.access.caller import caller_of
from service.access.keys import ANYONE
from service.answers.batch import BatchAnswer, BatchItemsAnswer, batch_answer, item_answer
from service.batches.order import check_options, largest_body, read_batch
from service.events import EVENT_HEADERS, MEDIA_TYPE, view_events
from service.gateway import Gateway, GatewayDep
from service.idempotency import REPLAYED_HEADERS, idempotency_key, idempotency_of_body
from service.openapi import (
    ACCESS_CODES,
    DURABLE_CODES,
    UPLOAD_REFUSALS,
    batch_request,
    event_stream_answer,
    problem_answers,
    refusals,
)

router = APIRouter(tags=["batches"])

BATCH_ID = re.compile(r"[0-9a-f]{32}")
MOST_LISTED = 1000
BATCH_CODES = ("batch_not_found", "not_ready", "data_loss", *ACCESS_CODES)
CREATE_CODES = (
    *("invalid_request", "body_too_large", "unknown_model", "model_not_trained", "unknown_width"),
    *("model_not_allowed", "webhooks_disabled", "address_refused", "overloaded", "not_ready"),
    *("bucket_not_allowed", "result_not_allowed"),
    *("quota_exceeded", "too_many_jobs", "idempotency_key_reused", *ACCESS_CODES),
    *DURABLE_CODES,
)


async def known_batch(
    batch_id: Annotated[
        str,
        # Described, not checked: no other id is known, so any other is 404 as well.
        Path(description="The batch's id.", json_schema_extra={"pattern": f"^{BATCH_ID.pattern}$"}),
    ],
) -> str:
    """Return a well-formed id. Raises BatchNotFound for any other, without a call to the queue."""
    if not BATCH_ID.fullmatch(batch_id):
        raise BatchNotFound
    return batch_id


BatchId = Annotated[str, Depends(known_batch)]


async def own_batch(request: Request, gateway: Gateway, batch_id: str) -> BatchView:
    """Return a batch of the caller's. Raises BatchNotFound also for that of another client."""
    view = await gateway.queue.batches.view(batch_id)
    client = caller_of(request)
    if client is not ANYONE and view.order.client != client.name:
        raise BatchNotFound
    return view


@router.post(
    "/batches",
    summary="Upscale many pictures, later",
    status_code=202,
    response_model=BatchAnswer,
    responses={
        202: {"headers": {"Location": {"description": "The batch.", "schema": {"type": "string"}}}},
        **refusals(*UPLOAD_REFUSALS),
        **problem_answers(*CREATE_CODES),
    },
    openapi_extra=batch_request(),
)
async def submit_batch(request: Request, response: Response, gateway: GatewayDep) -> BatchAnswer:
    """Takes addresses of pictures and one set of options, and answers at once. The pictures are
    fetched and made while the queue has room."""
    settings, client = gateway.settings, caller_of(request)
    key = idempotency_key(request.headers)
    body = await gateway.uploads.text(request, largest_body(settings.batch_sources))
    asked = await run_in_threadpool(read_batch, body, settings.batch_sources)
    check_options(asked, client, gateway.catalogs.catalog, settings.max_budget_ms)
    target = None if asked.webhook_url is None else gateway.webhooks.target(asked.webhook_url)
    durable = settings.durable if asked.durable is None else asked.durable
    terms = Terms(idempotency_of_body(request, key, body), target, durable=durable)
    items = await run_in_threadpool(asked.items, gateway.results.target)
    order = BatchOrder(client.name, asked.texts)
    batch = NewBatch(request.state.request_id, order, items)
    most_own = settings.batches if client is ANYONE else (settings.batches + 1) // 2
    view = await gateway.queue.batches.create(batch, settings.batches, most_own, terms)
    request.state.facts["sources"] = view.total
    if view.id != batch.id:
        response.headers.update(REPLAYED_HEADERS)
    gateway.batches.wake()
    answer = batch_answer(view, settings.root_path)
    response.headers["X-Request-ID"] = answer.id
    response.headers["Location"] = answer.links.self
    return answer


@router.get("/batches/{batch_id}", summary="See a batch", responses=problem_answers(*BATCH_CODES))
async def show_batch(
    request: Request, batch_id: BatchId, response: Response, gateway: GatewayDep
) -> BatchAnswer:
    """The batch as it is now."""
    response.headers["Cache-Control"] = "no-store"
    return batch_answer(await own_batch(request, gateway, batch_id), gateway.settings.root_path)


@router.get(
    "/batches/{batch_id}/items",
    summary="List a batch's sources",
    responses=problem_answers("invalid_request", *BATCH_CODES),
)
async def list_items(
    request: Request,
    batch_id: BatchId,
    response: Response,
    gateway: GatewayDep,
    cursor: Annotated[int, Query(ge=0, le=10**9, description="`next_cursor` of a page.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="Most sources.")] = 100,
) -> BatchItemsAnswer:
    """The sources as they are now: each with its state, its job, and its result or problem."""
    response.headers["Cache-Control"] = "no-store"
    view = await own_batch(request, gateway, batch_id)
    items = await gateway.queue.batches.items(batch_id, cursor, limit)
    root_path, following = gateway.settings.root_path, cursor + len(items)
    return BatchItemsAnswer(
        items=[
            item_answer(batch_id, index, item, root_path)
            for index, item in enumerate(items, cursor)
        ],
        next_cursor=following if items and following < view.total else None,
    )


@router.get(
    "/batches/{batch_id}/events",
    summary="Watch a batch",
    response_class=StreamingResponse,
    responses={
        200: event_stream_answer("batch", BatchAnswer),
        **problem_answers(*BATCH_CODES),
    },
)
async def watch_batch(request: Request, batch_id: BatchId, gateway: GatewayDep) -> Response:
    """Server-sent events until the batch ends."""
    await own_batch(request, gateway, batch_id)
    changes = gateway.queue.batches.watch(batch_id)
    answer = partial(batch_answer, root_path=gateway.settings.root_path)
    events = view_events("batch", changes, answer, gateway.closing)
    return StreamingResponse(events, 200, EVENT_HEADERS, MEDIA_TYPE)


@router.delete(
    "/batches/{batch_id}",
    summary="Cancel a batch",
    responses=problem_answers(*BATCH_CODES),
)
async def cancel_batch(request: Request, batch_id: BatchId, gateway: GatewayDep) -> BatchAnswer:
    """The batch after the call: sources that waited are cancelled, and those that run will be
    within seconds. What has ended does not change."""
    await own_batch(request, gateway, batch_id)
    view = await gateway.queue.batches.cancel(batch_id)
    return batch_answer(view, gateway.settings.root_path)
