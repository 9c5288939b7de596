"""Cached pictures in a bucket: known by the queue's Redis, copied within the store."""

from __future__ import annotations

from jobs.blob_index import BlobIndex
from jobs.bucket import Bucket
from jobs.cached_pictures import CacheBounds, CachedPicture, Kept
from jobs.codec import RUN_FACTS
from jobs.connection import SteadyRedis
from jobs.durability import DurableCalls
from jobs.job import JobView
from jobs.keys import Keys
from jobs.outages import reports_outages
from jobs.records import JobRecords
from jobs.redis_cached_pictures import NO_TOKEN, RedisCachedPictures
from jobs.s3_blobs import S3Blobs
from jobs.scripts import Scripts
from jobs.settings import QueueSettings


class S3CachedPictures(RedisCachedPictures):
    """The cached pictures of one namespace. Each is an object of its own, noted in the index of the
    bucket until its age ends, so that none is left over whoever dies in between."""

    def __init__(
        self,
        client: SteadyRedis,
        keys: Keys,
        scripts: Scripts,
        durable: DurableCalls,
        blobs: S3Blobs,
        records: JobRecords,
        settings: QueueSettings,
        bucket: Bucket,
        index: BlobIndex,
    ) -> None:
        super().__init__(client, keys, scripts, durable, blobs, records, settings)
        self._s3_blobs = blobs
        self._bucket = bucket
        self._index = index

    async def _picture(self, cached: CachedPicture) -> bytes | None:
        await self._used(cached)
        return await self._bucket.get(self._name(cached.name), cached.bytes)

    @reports_outages
    async def keep(
        self, view: JobView, group: str, variant: str, bounds: CacheBounds, *, move: bool
    ) -> Kept:
        if view.facts is None:
            raise ValueError("only the result of a run can be kept")
        result = self._s3_blobs.result_name(view.job.id, view.token)
        size, name = await self._index.size(result), group + variant
        if not 0 < size <= bounds.picture_bytes:
            return await self.drop_old(bounds)
        await self._index.reserve(self._name(name), size, bounds.age_s)
        if not await self._bucket.copy(result, self._name(name), size):
            await self._drop([name])
            return await self.drop_old(bounds)
        keys = result, self._name(name), self._keys.cached_group(group)
        kept = await self._kept(bounds, keys, name, RUN_FACTS.encode(view.facts), "", size)
        if not kept.kept:
            await self._drop([name])
        elif move:
            await self._s3_blobs.drop([result])
        return kept

    async def _drop(self, names: list[str]) -> None:
        await self._s3_blobs.drop([self._name(name) for name in names])

    async def _used(self, cached: CachedPicture) -> None:
        used = ("ZADD", self._keys.cached_by_use, "XX", cached.found_ms, cached.name)
        await self._client.together(used)

    async def copied(self, cached: CachedPicture, job_id: str) -> bool:
        await self._used(cached)
        result = self._s3_blobs.result_name(job_id, NO_TOKEN)
        await self._index.reserve(result, cached.bytes, self._result_ttl_s)
        if await self._bucket.copy(self._name(cached.name), result, cached.bytes):
            return True
        await self._s3_blobs.drop([result])
        return False

    def _name(self, name: str) -> str:
        return self._bucket.name("cached", name)
