"""Jobs: the same work for callers who do not want to wait on one connection."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response, StreamingResponse

from jobs.errors import JobNotFound
from service.answers import JobAnswer, job_answer
from service.budgets import jobs_default
from service.events import MEDIA_TYPE, job_events
from service.gateway import Gateway, gateway_of
from service.openapi import (
    INTAKE_CODES,
    RUN_CODES,
    picture_answer,
    problem_answers,
    upscale_request,
)
from service.pictures import (
    BUDGET_HEADER,
    PICTURE_HEADERS,
    budget_text,
    picture_response,
)
from service.submission import accept_upload

router = APIRouter(tags=["jobs"])

JOB_ID = re.compile(r"[0-9a-f]{32}")


def known_id(job_id: Annotated[str, Path(description="The job's id.")]) -> str:
    """Return an id that can be one; what cannot be never reaches the queue."""
    if not JOB_ID.fullmatch(job_id):
        raise JobNotFound
    return job_id


JobId = Annotated[str, Depends(known_id)]
Here = Annotated[Gateway, Depends(gateway_of)]


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
        **problem_answers(*INTAKE_CODES),
    },
    openapi_extra=upscale_request(),
)
async def submit_job(request: Request, response: Response, gateway: Here) -> JobAnswer:
    """Takes what `POST /upscale` takes, and answers at once with the job."""
    accepted = await accept_upload(request, gateway, jobs_default(gateway.settings))
    request.state.span.enter("answer")
    gateway.dispatcher.follow(accepted.view)
    answer = job_answer(accepted.view, gateway.settings.root_path)
    response.headers["Location"] = answer.links.self
    response.headers[BUDGET_HEADER] = budget_text(accepted.job)
    return answer


@router.get("/jobs/{job_id}", summary="See a job", responses=problem_answers("job_not_found"))
async def show_job(job_id: JobId, response: Response, gateway: Here) -> JobAnswer:
    """The job as it is now."""
    response.headers["Cache-Control"] = "no-store"
    return job_answer(await gateway.queue.submissions.view(job_id), gateway.settings.root_path)


@router.get(
    "/jobs/{job_id}/result",
    summary="Fetch a job's picture",
    response_class=Response,
    responses={
        200: picture_answer(),
        **problem_answers("job_not_found", "job_not_finished", *RUN_CODES),
    },
)
async def fetch_result(job_id: JobId, gateway: Here) -> Response:
    """The picture with the headers of `POST /upscale`, or the error that the job ended with."""
    view = await gateway.queue.submissions.view(job_id)
    return picture_response(view, await gateway.queue.submissions.result(view), view.elapsed_ms)


@router.get(
    "/jobs/{job_id}/events",
    summary="Watch a job",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`event: job` with the job as `data:`, now and at each change.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **problem_answers("job_not_found"),
    },
)
async def watch_job(job_id: JobId, gateway: Here) -> Response:
    """Server-sent events, to the job's end."""
    await gateway.queue.submissions.view(job_id)
    events = job_events(
        gateway.queue.submissions.watch(job_id), gateway.closing, gateway.settings.root_path
    )
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, 200, headers, MEDIA_TYPE)


@router.delete("/jobs/{job_id}", summary="Cancel a job", responses=problem_answers("job_not_found"))
async def cancel_job(job_id: JobId, gateway: Here) -> JobAnswer:
    """The job as it then is; one that has ended stays as it ended."""
    return job_answer(await gateway.queue.submissions.cancel(job_id), gateway.settings.root_path)
