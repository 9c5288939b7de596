"""A job is seen, fetched, watched and cancelled by its own client alone."""

from __future__ import annotations

from fastapi import Request

from jobs.errors import JobNotFound
from jobs.job import JobView
from service.access.caller import caller_of
from service.access.keys import ANYONE
from service.gateway import Gateway


async def own_job(request: Request, gateway: Gateway, job_id: str) -> JobView:
    """Return a job of the caller's. Raises JobNotFound also for that of another client, whose
    existence is nobody else's business."""
    view = await gateway.queue.submissions.view(job_id)
    client = caller_of(request)
    if client is not ANYONE and view.job.client != client.name:
        raise JobNotFound
    return view


async def check_own_job(request: Request, gateway: Gateway, job_id: str) -> None:
    """Raise JobNotFound unless a job is the caller's; without a call to the queue where everybody
    may see all jobs."""
    if caller_of(request) is not ANYONE:
        await own_job(request, gateway, job_id)
