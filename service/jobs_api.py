"""Routes of /jobs: submit, show, fetch, watch and cancel a job."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from jobs.errors import JobNotFound
from jobs.job import JobView
from scheduling.request import DeferredRequest
from service.access.ownership import check_own_job, own_job
from service.answers.job import JobAnswer, job_answer
from service.default_budgets import jobs_default
from service.events import EVENT_HEADERS, MEDIA_TYPE, view_events
from service.gateway import Gateway, GatewayDep
from service.idempotency import REPLAYED_HEADERS, Asked
from service.negotiation import format_of_result
from service.openapi import (
    DURABLE_CODES,
    JOB_CODES,
    RUN_CODES,
    UPLOAD_CODES,
    UPLOAD_REFUSALS,
    event_stream_answer,
    picture_answer,
    problem_answers,
    redirect_answer,
    refusals,
    upscale_request,
)
from service.picture_response import (
    BUDGET_HEADER,
    PICTURE_HEADERS,
    budget_text,
    picture_elsewhere,
    picture_response,
)
from service.result_cache.cache import Sought
from service.result_cache.requests import cache_headers
from service.result_room import read_result
from service.submission import accept_upload

router = APIRouter(tags=["jobs"])

REDIRECT = (
    "Whether to answer 303 with a URL in the bucket of the pictures, where they are in one; "
    "otherwise the answer is the picture. Absent: as the operator has it."
)
JOB_ID = re.compile(r"[0-9a-f]{32}")


async def known_id(
    job_id: Annotated[
        str,
        # Described, not checked: no other id is known, so any other is 404 as well.
        Path(description="The job's id.", json_schema_extra={"pattern": f"^{JOB_ID.pattern}$"}),
    ],
) -> str:
    """Return a well-formed id. Raises JobNotFound for any other, without a call to the queue."""
    if not JOB_ID.fullmatch(job_id):
        raise JobNotFound
    return job_id


JobId = Annotated[str, Depends(known_id)]


@router.post(
    "/jobs",
    summary="Upscale a picture, later",
    status_code=202,
    response_model=JobAnswer,
    responses={
        202: {
            "headers": {
                "Location": {"description": "The job.", "schema": {"type": "string"}},
                BUDGET_HEADER: {
                    "description": PICTURE_HEADERS[BUDGET_HEADER],
                    "schema": {"type": "string"},
                },
            }
        },
        **refusals(*UPLOAD_REFUSALS),
        **problem_answers(
            *UPLOAD_CODES,
            *("webhooks_disabled", "address_refused", "result_not_allowed"),
            *DURABLE_CODES,
        ),
    },
    openapi_extra=upscale_request(DeferredRequest),
)
async def submit_job(request: Request, response: Response, gateway: GatewayDep) -> JobAnswer:
    """Accepts the same requests as `POST /upscale`, and answers at once with the job. `webhook_url`
    names where its end is announced, `result` or `result_url` where its picture is put before."""
    default = jobs_default(gateway.settings)
    accepted = await accept_upload(request, gateway, default, format_of_result, DeferredRequest)
    request.state.span.enter("answer")
    if accepted.asked is Asked.AGAIN:
        response.headers.update(REPLAYED_HEADERS)
    elif accepted.hit is None:
        keep = partial(_keep, gateway, accepted.sought)
        gateway.dispatcher.count_end_in_background(accepted.view, keep)
    response.headers.update(cache_headers(accepted.sought, accepted.hit))
    answer = job_answer(accepted.view, gateway.settings.root_path)
    response.headers["X-Request-ID"] = answer.id
    response.headers["Location"] = answer.links.self
    response.headers[BUDGET_HEADER] = budget_text(accepted.job)
    return answer


def _keep(gateway: Gateway, sought: Sought | None, view: JobView) -> None:
    if gateway.cache is not None and sought is not None:
        gateway.cache.keep_soon(view, sought, move=False)


@router.get("/jobs/{job_id}", summary="See a job", responses=problem_answers(*JOB_CODES))
async def show_job(
    request: Request, job_id: JobId, response: Response, gateway: GatewayDep
) -> JobAnswer:
    """The job as it is now."""
    response.headers["Cache-Control"] = "no-store"
    return job_answer(await own_job(request, gateway, job_id), gateway.settings.root_path)


@router.get(
    "/jobs/{job_id}/result",
    summary="Fetch a job's picture",
    response_class=Response,
    responses={
        200: picture_answer(),
        303: redirect_answer(),
        **problem_answers(
            *("job_not_finished", "result_expired", "invalid_request"), *JOB_CODES, *RUN_CODES
        ),
    },
)
async def fetch_result(
    request: Request,
    job_id: JobId,
    gateway: GatewayDep,
    redirect: Annotated[bool | None, Query(description=REDIRECT)] = None,
) -> Response:
    """The picture with the headers of `POST /upscale`, or the error with which the job ended."""
    view = await own_job(request, gateway, job_id)
    if gateway.settings.result_redirect if redirect is None else redirect:
        url = await gateway.queue.submissions.result_url(view)
        if url is not None:
            return picture_elsewhere(view, url)
    share = gateway.room.share(view.job)
    try:
        picture = await read_result(gateway.queue.submissions, view, share)
    except BaseException:
        share.release()
        raise
    return picture_response(
        view,
        picture,
        view.elapsed_ms,
        on_sent=partial(gateway.metrics.picture_sent, len(picture)),
        on_end=share.release,
    )


@router.get(
    "/jobs/{job_id}/events",
    summary="Watch a job",
    response_class=StreamingResponse,
    responses={
        200: event_stream_answer("job", JobAnswer),
        **problem_answers(*JOB_CODES),
    },
)
async def watch_job(request: Request, job_id: JobId, gateway: GatewayDep) -> Response:
    """Server-sent events until the job ends."""
    await own_job(request, gateway, job_id)
    changes = gateway.queue.submissions.watch(job_id)
    answer = partial(job_answer, root_path=gateway.settings.root_path)
    events = view_events("job", changes, answer, gateway.closing)
    return StreamingResponse(events, 200, EVENT_HEADERS, MEDIA_TYPE)


@router.delete(
    "/jobs/{job_id}",
    summary="Cancel a job",
    responses=problem_answers(*JOB_CODES),
)
async def cancel_job(request: Request, job_id: JobId, gateway: GatewayDep) -> JobAnswer:
    """The job after the call; a job that has ended does not change."""
    await check_own_job(request, gateway, job_id)
    return job_answer(await gateway.queue.submissions.cancel(job_id), gateway.settings.root_path)
