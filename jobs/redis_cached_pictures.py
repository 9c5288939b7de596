"""Cached pictures on Redis: kept by one script, without a copy through any process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import resources
from typing import Any, cast

from redis.exceptions import ResponseError

from jobs.blob_store import BlobStore
from jobs.cached_pictures import CacheBounds, CachedPicture, CachedPictures, Kept
from jobs.codec import JOB, RUN_FACTS, CodecError
from jobs.connection import SteadyRedis
from jobs.digests import is_whole
from jobs.durability import DurableCalls
from jobs.errors import NotDurableYet
from jobs.job import Job, JobView
from jobs.keys import Keys
from jobs.outages import reports_outages
from jobs.records import JobRecords, earlier_in
from jobs.scripts import Argument, Scripts
from jobs.settings import QueueSettings
from jobs.terms import Terms, terms_in_scripts

log = logging.getLogger(__name__)

COPIED_S = 30
"""Time to live of a result that is about to be kept."""
NO_TOKEN = 0
"""Token of a result that no worker has claimed."""


class RedisCachedPictures(CachedPictures):
    """The cached pictures of one namespace, on the server of its pictures."""

    def __init__(
        self,
        client: SteadyRedis,
        keys: Keys,
        scripts: Scripts,
        durable: DurableCalls,
        blobs: BlobStore,
        records: JobRecords,
        settings: QueueSettings,
    ) -> None:
        source = resources.files("jobs") / "lua" / "keep_picture.lua"
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._durable = durable
        self._blobs = blobs
        self._records = records
        self._result_ttl_s = settings.result_ttl_seconds
        self._keep = client.register_script(source.read_text("utf-8"))

    @reports_outages
    async def variants(self, group: str) -> list[CachedPicture]:
        found, time = await self._client.together(
            ("HGETALL", self._keys.cached_group(group)), ("TIME",)
        )
        if isinstance(found, ResponseError):
            return []
        now_ms = time[0] * 1e3 + time[1] / 1e3
        return list(_cached(group, found, now_ms))

    @reports_outages
    async def picture(self, cached: CachedPicture) -> bytes | None:
        picture = await self._picture(cached)
        if picture is None or await is_whole(picture, cached.facts.picture_digest):
            return picture
        log.warning("the cached picture %s is not the one that was kept", cached.name)
        return None

    async def _picture(self, cached: CachedPicture) -> bytes | None:
        used = ("ZADD", self._keys.cached_by_use, "XX", cached.found_ms, cached.name)
        getting = ("GET", self._keys.cached_picture(cached.name))
        _, picture = await self._client.together(used, getting)
        return None if isinstance(picture, ResponseError) else cast("bytes | None", picture)

    @reports_outages
    async def keep(
        self, view: JobView, group: str, variant: str, bounds: CacheBounds, *, move: bool
    ) -> Kept:
        if view.facts is None:
            raise ValueError("only the result of a run can be kept")
        names = (
            self._keys.result(view.job.id, view.token),
            self._keys.cached_picture(group + variant),
            self._keys.cached_group(group),
        )
        facts = RUN_FACTS.encode(view.facts)
        return await self._kept(bounds, names, group + variant, facts, "1" if move else "")

    @reports_outages
    async def keep_copy(
        self, view: JobView, picture: bytes, group: str, variant: str, bounds: CacheBounds
    ) -> Kept:
        """Keep a picture that is the result of a job on another server, as `keep`."""
        result = self._keys.result(view.job.id, view.token)
        storing = ("SET", result, picture, "EX", COPIED_S)
        (stored,) = await self._client.together(storing)
        if isinstance(stored, ResponseError):
            return await self.drop_old(bounds)
        return await self.keep(view, group, variant, bounds, move=True)

    @reports_outages
    async def drop_old(self, bounds: CacheBounds) -> Kept:
        return await self._kept(bounds, (), "", "", "")

    async def _kept(self, bounds: CacheBounds, names: tuple[str, ...], *what: Argument) -> Kept:
        keys = self._keys
        index = (keys.cached_by_use, keys.cached_by_expiry, keys.cached_sizes)
        limits = (bounds.total_bytes, bounds.picture_bytes, int(bounds.age_s * 1000))
        arguments = (keys.cached_pictures, keys.cached_groups, *limits, *what)
        answer: Any = await self._keep(keys=[*index, *names], args=arguments)
        kept, total, evicted, gone = answer
        await self._drop([name.decode() for name in gone])
        return Kept(kept == 1, int(total), int(evicted))

    async def _drop(self, names: list[str]) -> None:
        """Delete pictures that are cached no longer; the script has done it here."""

    @reports_outages
    async def validator(self, name: str) -> tuple[str, float] | None:
        key = self._keys.link_validator(name)
        tag, left_ms = await self._client.together(("GET", key), ("PTTL", key))
        if not isinstance(tag, bytes) or isinstance(left_ms, ResponseError):
            return None
        return tag.decode(), max(0, int(left_ms)) / 1e3

    @reports_outages
    async def remember_validator(self, name: str, tag: str, seconds: int) -> None:
        await self._client.together(("SET", self._keys.link_validator(name), tag, "EX", seconds))

    @reports_outages
    async def end_job(
        self, cached: CachedPicture, job: Job, spent_ms: float, terms: Terms
    ) -> JobView | None:
        if not await self.copied(cached, job.id):
            return None
        remaining_ms = job.budget_ms - spent_ms
        wishes = job.id, JOB.encode(job), remaining_ms, job.on_miss.value, job.requirement
        agreed = terms_in_scripts(terms, self._keys, self._result_ttl_s)
        facts = RUN_FACTS.encode(cached.facts)
        try:
            done = (*wishes, facts, *agreed)
            answer, on_disk = await self._record_done(done, durable=terms.durable)
            if not on_disk:
                return None
            if answer[0] in (b"accepted", b"known"):
                return await self._records.view(job.id)
            earlier = earlier_in(answer)
        except BaseException:
            await self._blobs.drop_results([(job.id, NO_TOKEN)])
            raise
        await self._blobs.drop_results([(job.id, NO_TOKEN)])
        return earlier

    async def _record_done(
        self, arguments: tuple[Argument, ...], *, durable: bool
    ) -> tuple[list[Any], bool]:
        """Return the answer of record_done.lua, and, of a durable job, whether that and its result
        are on disk."""
        if not durable:
            return await self._scripts.run("record_done", *arguments), True
        if self._blobs.here is None and not await self._blobs.settle():
            raise NotDurableYet
        return await self._scripts.run_durably(self._durable, (), "record_done", *arguments)

    async def copied(self, cached: CachedPicture, job_id: str) -> bool:
        """Copy a cached picture within its server, as the result of a job."""
        result = self._keys.result(job_id, NO_TOKEN)
        _, copied, _ = await self._client.together(
            ("ZADD", self._keys.cached_by_use, "XX", cached.found_ms, cached.name),
            ("COPY", self._keys.cached_picture(cached.name), result),
            ("EXPIRE", result, self._result_ttl_s),
        )
        return not isinstance(copied, ResponseError) and bool(copied)


def _cached(group: str, found: dict[bytes, bytes], now_ms: float) -> Iterator[CachedPicture]:
    """Yield the pictures of a group's hash; those of another version, which cannot be read, are
    left out."""
    for variant, text in found.items():
        try:
            stored_ms, size, facts = text.split(b" ", 2)
            yield CachedPicture(
                group=group,
                variant=variant.decode(),
                facts=RUN_FACTS.decode(facts),
                bytes=int(size),
                age_s=max(0.0, now_ms - float(stored_ms)) / 1e3,
                found_ms=now_ms,
            )
        except (CodecError, ValueError):
            continue
