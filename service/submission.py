"""Submission, shared by all routes that accept a picture: from the request into the queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fastapi import Request

from images.header import ImageHeader
from jobs.formats import ImageFormat
from jobs.job import JobRequest, JobView
from jobs.shards.ids import of_one_request
from jobs.terms import Terms
from scheduling.request import AUTO, DeferredRequest, UpscaleRequest
from service.access.caller import allowance_of, caller_of
from service.access.rate_headers import rate_headers
from service.default_budgets import DefaultBudget
from service.gateway import Gateway
from service.idempotency import Asked, idempotency_key, idempotency_of
from service.result_cache.cache import Hit, Sought
from service.result_cache.requests import hit_of, sought_of
from service.upload_plan import JobPlanner, header_of
from service.uploads import Upload
from telemetry.spans import Span

Negotiation = Callable[[str, ImageFormat], ImageFormat]
"""From an Accept header and the picture's own format to that of `format=auto`."""


@dataclass(frozen=True)
class Accepted:
    """An admitted job. Only the queue holds its encoded picture."""

    view: JobView
    received: float
    """End of the upload by time.monotonic()."""
    upload_ms: float
    negotiated: bool
    """Whether the Accept header chose the output's format."""
    asked: Asked
    sought: Sought | None = None
    """What was looked for in the result cache; None without one."""
    hit: Hit | None = None
    """What was found there."""

    @property
    def job(self) -> JobRequest:
        """The job in the view."""
        return self.view.job


async def accept_upload(
    request: Request,
    gateway: Gateway,
    default: DefaultBudget,
    negotiation: Negotiation,
    kind: type[UpscaleRequest] = UpscaleRequest,
) -> Accepted:
    """Read the body, plan its job and submit it to the queue. `kind` has the parameters that the
    request may have.

    Raises the errors of `idempotency_key`, `UploadReader.received` and `admit`.
    """
    key = idempotency_key(request.headers)
    request.state.span.enter("upload")
    # The slot is held until the queue has the picture, for so long it takes memory here.
    async with gateway.uploads.received(request, kind) as upload:
        return await admit(request, gateway, upload, key, default, negotiation)


async def admit(
    request: Request,
    gateway: Gateway,
    upload: Upload,
    key: str | None,
    default: DefaultBudget,
    negotiation: Negotiation,
) -> Accepted:
    """Plan the job of an upload and submit it to the queue. `key` is the request's idempotency key.

    A request without a budget gets what its picture needs, within the bounds of `default`. Raises
    the errors of `read_header`, `check_whole_file`, `negotiation`, `Webhooks.target`,
    `Results.target`, `build_job` and `Dispatcher.submit`.
    """
    span: Span = request.state.span
    span.enter("admission")
    header = await header_of(upload, gateway.settings.max_source_pixels)
    negotiated = upload.wanted.format == AUTO
    if negotiated:
        chosen = negotiation(request.headers.get("accept", ""), header.format.own_output)
        wanted = upload.wanted.model_copy(update={"format": chosen})
        upload = replace(upload, wanted=wanted)
    terms = await _terms(request, gateway, upload, key)
    client = caller_of(request)
    default = default.at_most(client.largest_budget_ms(gateway.settings.max_budget_ms))
    job = _planned(request, gateway, upload, header, default)
    request.state.facts.update(request_facts(job))
    if upload.fetched:
        request.state.facts["fetched"] = True
    bounds = default if upload.wanted.latency_budget_ms is None else None
    sought = await sought_of(request, gateway, job, upload.picture, bounds)
    hit = await hit_of(gateway, sought, upload, terms)
    view = hit.view if hit else await _submitted(request, gateway, upload, job, bounds, terms)
    request.state.facts["budget_ms"] = view.job.budget_ms
    request_id = request.state.request_id
    if view.job.id != request_id and of_one_request(view.job.id, request_id):
        # It has got the shard of a divided queue. An error after this names the job as well.
        request.state.headers["X-Request-ID"] = view.job.id
    asked = _asked(request, terms, view)
    if asked is not Asked.AGAIN and hit is None:
        gateway.metrics.picture_admitted(view.job, len(upload.picture))
        _count_pixels(request, view.job)
    upload_ms = (upload.received - request.state.started) * 1e3
    return Accepted(view, upload.received, upload_ms, negotiated, asked, sought, hit)


async def _terms(request: Request, gateway: Gateway, upload: Upload, key: str | None) -> Terms:
    """Return the terms of an upload. Raises as `Webhooks.target` and `Results.target`."""
    wanted = upload.wanted
    once = await idempotency_of(request, key, wanted, upload.picture)
    if not isinstance(wanted, DeferredRequest):
        return Terms(once)
    url = wanted.webhook_url
    webhook = None if url is None else gateway.webhooks.target(url)
    durable = gateway.settings.durable if wanted.durable is None else wanted.durable
    return Terms(once, webhook, gateway.results.target(wanted), durable)


def _asked(request: Request, terms: Terms, view: JobView) -> Asked:
    if terms.idempotency is None:
        return Asked.ONCE
    if of_one_request(view.job.id, request.state.request_id):
        return Asked.FIRST
    request.state.facts["repeats"] = view.job.id
    return Asked.AGAIN


async def _submitted(
    request: Request,
    gateway: Gateway,
    upload: Upload,
    job: JobRequest,
    default: DefaultBudget | None,
    terms: Terms,
) -> JobView:
    """Return the job of an upload, in the queue."""
    client = caller_of(request)
    limits = client.limits if client.limits.counted else None
    if default is None:
        request.state.facts["budget_ms"] = job.budget_ms
    return await gateway.dispatcher.submit(
        job, upload.picture, upload.received, default, limits, terms
    )


def request_facts(job: JobRequest) -> dict[str, str | float]:
    """Return model and sizes of a request, as fields for log line and span."""
    return {
        "model": job.model or "any",
        "source_pixels": job.source_width * job.source_height,
        "output_pixels": job.output_width * job.output_height,
    }


def _planned(
    request: Request,
    gateway: Gateway,
    upload: Upload,
    header: ImageHeader,
    default: DefaultBudget,
) -> JobRequest:
    """Return the job of a request's upload."""
    return JobPlanner(gateway.settings).job(
        request.state.request_id,
        upload,
        header,
        caller_of(request),
        gateway.catalogs.catalog,
        default.least_ms,
        request.state.span.context.traceparent,
    )


def _count_pixels(request: Request, job: JobRequest) -> None:
    """Tell the caller what its accepted job leaves it of its quota."""
    allowance = allowance_of(request)
    if allowance is not None:
        pixels = job.output_width * job.output_height
        headers = rate_headers(caller_of(request).limits, allowance, pixels)
        request.state.headers.update(headers)
