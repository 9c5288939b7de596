"""The result cache of a divided queue: pictures are at one place, jobs and results in shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redis.exceptions import OutOfMemoryError

from jobs.cached_pictures import CacheBounds, CachedPicture, CachedPictures, Kept
from jobs.job import Job, JobView
from jobs.redis_cached_pictures import NO_TOKEN, RedisCachedPictures
from jobs.settings import QueueSettings
from jobs.shards.ids import placed, shard_of
from jobs.shards.shard import Shard
from jobs.shards.submissions import ShardedSubmissions
from jobs.terms import Terms


class ShardResults(RedisCachedPictures):
    """Records a job of one shard whose picture was made before."""

    def __init__(self, shard: Shard, common: RedisCachedPictures, settings: QueueSettings) -> None:
        super().__init__(
            *(shard.client, shard.keys, shard.scripts, shard.durable),
            *(shard.pictures, shard.records, settings),
        )
        self._common = common

    async def copied(self, cached: CachedPicture, job_id: str) -> bool:
        """Copy a cached picture as the result of a job, within the store of all pictures, or from
        there to the shard that keeps its own."""
        if self._blobs.here is None:
            return await self._common.copied(cached, job_id)
        picture = await self._common.picture(cached)
        if picture is None:
            return False
        try:
            await self._blobs.put_result(job_id, NO_TOKEN, picture)
        except OutOfMemoryError:
            return False
        return True


class ShardedCachedPictures(CachedPictures):
    """`common` has the pictures."""

    def __init__(
        self,
        common: RedisCachedPictures,
        shards: Sequence[Shard],
        submissions: ShardedSubmissions,
        settings: QueueSettings,
    ) -> None:
        self._common = common
        self._shards = shards
        self._results = [ShardResults(shard, common, settings) for shard in shards]
        self._submissions = submissions

    async def variants(self, group: str) -> list[CachedPicture]:
        return await self._common.variants(group)

    async def picture(self, cached: CachedPicture) -> bytes | None:
        return await self._common.picture(cached)

    async def keep(
        self, view: JobView, group: str, variant: str, bounds: CacheBounds, *, move: bool
    ) -> Kept:
        shard = self._shards[shard_of(view.job.id, len(self._shards))]
        if shard.pictures.here is None:
            return await self._common.keep(view, group, variant, bounds, move=move)
        size = await shard.submissions.result_bytes(view)
        if not 0 < size <= bounds.picture_bytes:
            return await self._common.drop_old(bounds)
        picture = await shard.submissions.result(view)
        kept = await self._common.keep_copy(view, picture, group, variant, bounds)
        if kept.kept and move:
            await shard.submissions.drop_results([view])
        return kept

    async def drop_old(self, bounds: CacheBounds) -> Kept:
        return await self._common.drop_old(bounds)

    async def validator(self, name: str) -> tuple[str, float] | None:
        return await self._common.validator(name)

    async def remember_validator(self, name: str, tag: str, seconds: int) -> None:
        await self._common.remember_validator(name, tag, seconds)

    async def end_job(
        self, cached: CachedPicture, job: Job, spent_ms: float, terms: Terms
    ) -> JobView | None:
        number = self._submissions.places(job, terms)[0]
        known = job if terms.fixed_id else replace(job, id=placed(job.id, number))
        return await self._results[number].end_job(cached, known, spent_ms, terms)
