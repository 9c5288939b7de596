"""The result cache as requests use it: what they ask of it, and the headers of their answers."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from jobs.job import JobRequest
from jobs.terms import Terms
from scheduling.request import DeferredRequest
from service.access.caller import caller_of
from service.default_budgets import DefaultBudget
from service.gateway import Gateway
from service.metrics import HIT, MISS
from service.result_cache.cache import Hit, Sought
from service.result_cache.directives import directives_of
from service.uploads import Upload

OUTCOME = "X-AnySR-Cache"


async def sought_of(
    request: Request,
    gateway: Gateway,
    job: JobRequest,
    picture: bytes,
    default: DefaultBudget | None,
) -> Sought | None:
    """Return what a request looks for; None without a cache, and if its caller wants nothing
    stored."""
    directives = directives_of(",".join(request.headers.getlist("cache-control")))
    if gateway.cache is None or not directives.store:
        return None
    scope = "" if gateway.settings.cache_shared else caller_of(request).name
    return await gateway.cache.sought(job, picture, scope, directives, default)


async def hit_of(
    gateway: Gateway, sought: Sought | None, upload: Upload, terms: Terms
) -> Hit | None:
    """Return the answer to a request from the cache. One that is to be fetched later, or may be
    sent again, becomes a job that has ended."""
    if gateway.cache is None or sought is None:
        return None
    if isinstance(upload.wanted, DeferredRequest) or terms.idempotency is not None:
        return await gateway.cache.end_job(sought, upload.received, terms)
    return await gateway.cache.answer(sought, upload.received)


def cache_headers(sought: Sought | None, hit: Hit | None) -> Mapping[str, str]:
    """Return the headers that tell whether an answer comes from the cache."""
    if sought is None:
        return {}
    return {OUTCOME: MISS} if hit is None else {OUTCOME: HIT, "Age": f"{hit.age_s:.0f}"}
