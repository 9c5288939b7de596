"""The common beginning of POST /upscale and POST /jobs: from the request to a planned job."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from jobs.image_header import read_header
from jobs.job import Job
from service.gateway import Gateway
from service.plan import plan


@dataclass(frozen=True)
class Order:
    """A job with its picture. `received` is the end of the upload by time.monotonic()."""

    job: Job
    picture: bytes
    received: float
    upload_ms: float


async def take_order(request: Request, gateway: Gateway, default_budget_ms: float) -> Order:
    """Read the body and the picture's header, and plan the job; no pixel is decoded."""
    upload = await gateway.uploads.read(request)
    header = await run_in_threadpool(
        read_header, upload.picture, gateway.settings.max_source_pixels
    )
    job = plan(
        request.state.request_id,
        upload.wanted,
        header,
        gateway.catalog,
        gateway.settings,
        default_budget_ms,
    )
    request.state.facts["model"] = job.model
    upload_ms = (upload.received - request.state.started) * 1e3
    return Order(job, upload.picture, upload.received, upload_ms)
