"""The result cache: finds a picture that answers a request, and keeps the results of others."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from redis.exceptions import RedisError

from jobs.cached_pictures import CacheBounds, CachedPicture, CachedPictures, Kept
from jobs.job import Job, JobRequest, JobStatus, JobView, RunFacts
from jobs.terms import Terms
from service.admission import assessed
from service.catalog_store import CatalogStore
from service.default_budgets import DefaultBudget
from service.dispatcher import Dispatcher, Finished
from service.metrics import GatewayMetrics
from service.result_cache.digests import group_of, variant_of
from service.result_cache.directives import Directives
from service.result_cache.wishes import Wish, answers, quality_of, wished, worth_keeping
from service.result_room import ResultRoom
from service.settings import MEBIBYTE, GatewaySettings
from service.snapshot import SnapshotCache

log = logging.getLogger(__name__)

PICTURE_PART = 1 / 8
"""Of the cache: the largest picture that is kept, so that one cannot displace all others."""
DROP_EVERY_S = 10.0
"""Period in which pictures that are too old are dropped, and the bytes of all are read."""
FAILURES = (ConnectionError, RedisError)
"""What makes a request run as if nothing were cached."""


@dataclass(frozen=True)
class Sought:
    """What is looked for in the cache, and under which group the result is kept otherwise."""

    job: JobRequest
    """With its budget."""
    wish: Wish
    group: str
    directives: Directives


@dataclass(frozen=True)
class Hit:
    """An answer from the cache."""

    view: JobView
    age_s: float
    finished: Finished | None = None
    """With its picture; None where the picture is the result of a job."""


def bounds_of(settings: GatewaySettings) -> CacheBounds:
    """Return the bounds that the settings name."""
    total = settings.cache_mb * MEBIBYTE
    return CacheBounds(total, int(total * PICTURE_PART), settings.cache_seconds)


class ResultCache:
    """Answers requests by cached pictures, and keeps results. While the pictures' server is away,
    or has no memory, nothing is found or kept, and no request fails for it."""

    def __init__(
        self,
        pictures: CachedPictures,
        bounds: CacheBounds,
        catalogs: CatalogStore,
        snapshots: SnapshotCache,
        dispatcher: Dispatcher,
        room: ResultRoom,
        metrics: GatewayMetrics,
    ) -> None:
        self._pictures = pictures
        self._bounds = bounds
        self._catalogs = catalogs
        self._snapshots = snapshots
        self._dispatcher = dispatcher
        self._room = room
        self._metrics = metrics
        self._keeping: set[asyncio.Task[None]] = set()

    async def sought(
        self,
        job: JobRequest,
        picture: bytes,
        scope: str,
        directives: Directives,
        default: DefaultBudget | None,
    ) -> Sought:
        """Return what to look for. `default` as for `Dispatcher.submit`; `scope` as for
        `group_of`."""
        assess = partial(
            assessed,
            *(job, self._snapshots.current, self._catalogs.catalog),
            *(self._dispatcher.overhead_ms, default),
        )
        with_budget, wish = wished(job, assess)
        return Sought(with_budget, wish, await group_of(job, picture, scope), directives)

    async def answer(self, sought: Sought, received: float) -> Hit | None:
        """Return a picture that answers a request whose upload ended at `received`, by
        time.monotonic(), and count a hit or a miss. Raises NotReady if there is no room for it."""
        return self._counted(await self._found(sought, partial(self._read, sought, received)))

    async def end_job(self, sought: Sought, received: float, terms: Terms) -> Hit | None:
        """Record a job that ends at once with a picture that answers it, and count a hit or a miss.
        Raises IdempotencyKeyReused."""
        return self._counted(await self._found(sought, partial(self._end, sought, received, terms)))

    async def _found(
        self, sought: Sought, take: Callable[[CachedPicture], Awaitable[Hit | None]]
    ) -> Hit | None:
        if not sought.directives.read:
            return None
        try:
            best = await self._best(sought)
            return None if best is None else await take(best)
        except FAILURES as error:
            log.warning("the result cache cannot be read: %s", error)
            return None

    def _counted(self, hit: Hit | None) -> Hit | None:
        self._metrics.cache_asked(hit=hit is not None)
        return hit

    async def _best(self, sought: Sought) -> CachedPicture | None:
        """Return the best cached picture that answers a request."""
        catalog, job = self._catalogs.catalog, sought.job
        most_age_s = min(self._bounds.age_s, sought.directives.most_age_s)
        fitting = [
            cached
            for cached in await self._pictures.variants(sought.group)
            if cached.age_s <= most_age_s and answers(cached.facts, job, sought.wish, catalog)
        ]
        return max(fitting, key=lambda c: quality_of(c.facts, job, catalog), default=None)

    async def _read(self, sought: Sought, received: float, cached: CachedPicture) -> Hit | None:
        share = self._room.share(sought.job)
        try:
            await share.take(cached.bytes)
            picture = await self._pictures.picture(cached)
        except BaseException:
            share.release()
            raise
        elapsed_ms = (time.monotonic() - received) * 1e3
        if picture is None or sought.job.is_rejected(elapsed_ms):
            share.release()
            return None
        share.settle(len(picture))
        job = _without_costs(sought.job)
        view = JobView(job, JobStatus.SUCCEEDED, 0.0, 0.0, progress=1.0, facts=cached.facts)
        return Hit(view, cached.age_s, Finished(view, picture, elapsed_ms, share))

    async def _is_there(self, sought: Sought, cached: CachedPicture) -> bool:
        share = self._room.share(sought.job)
        try:
            await share.take(cached.bytes)
            return await self._pictures.picture(cached) is not None
        finally:
            share.release()

    async def _end(
        self, sought: Sought, received: float, terms: Terms, cached: CachedPicture
    ) -> Hit | None:
        # It is copied unread: a damaged one would end every such job, until it is cached no longer.
        if not await self._is_there(sought, cached):
            return None
        spent_ms = (time.monotonic() - received) * 1e3
        view = await self._pictures.end_job(cached, _without_costs(sought.job), spent_ms, terms)
        return None if view is None else Hit(view, cached.age_s)

    def keep_soon(self, view: JobView, sought: Sought, *, move: bool) -> None:
        """Keep the result of a job that succeeded, in the background. With `move` nobody else needs
        it: it is deleted where it is not kept."""
        facts = view.facts
        if facts is not None and sought.directives.store and worth_keeping(facts):
            task = asyncio.create_task(self._keep(view, facts, sought.group, move))
            self._keeping.add(task)
            task.add_done_callback(self._keeping.discard)
        elif move:
            self._dispatcher.drop_result_soon(view)

    async def _keep(self, view: JobView, facts: RunFacts, group: str, move: bool) -> None:
        # The stages of this run are no part of later answers.
        facts = replace(facts, stages_ms={})
        as_cached, variant, kept = replace(view, facts=facts), variant_of(facts), False
        try:
            outcome = await self._pictures.keep(as_cached, group, variant, self._bounds, move=move)
            self._observe(outcome)
            kept = outcome.kept
        except FAILURES as error:
            log.warning("a result cannot be cached: %s", error)
        if move and not kept:
            self._dispatcher.drop_result_soon(view)

    async def follow(self) -> None:
        """Drop what is too old, for ever."""
        while True:
            try:
                self._observe(await self._pictures.drop_old(self._bounds))
            except FAILURES as error:  # an outage is in the log already, by the snapshots
                log.debug("the result cache cannot be read: %s", error)
            await asyncio.sleep(DROP_EVERY_S)

    def _observe(self, kept: Kept) -> None:
        self._metrics.cache_observed(kept.total_bytes, kept.evicted)

    async def close(self) -> None:
        """Wait until the results are kept that are about to be."""
        await asyncio.gather(*self._keeping, return_exceptions=True)


def _without_costs(job: JobRequest) -> Job:
    return Job.of(job, cheapest_ms=0.0, narrowest_ms=0.0, overhead_ms=0.0)
