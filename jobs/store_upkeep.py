"""Upkeep of the bucket of the pictures: deletes what has expired and what nobody knows, and notices
when the bucket is away. Every gateway does it; what two do at once does no harm."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from jobs.blob_index import BlobIndex
from jobs.bucket import Bucket
from jobs.outages import OUTAGES, BucketUnavailable

log = logging.getLogger("anysr.jobs.upkeep")

EVERY_S = 2.0
DELETED_AT_ONCE = 100
ORPHANS_EVERY_S = 600.0
ORPHAN_AGE = timedelta(hours=1)
"""An object of this age that the index does not have is deleted: Redis was restarted without its
data, or a write ended after its caller had given up. The age spares the objects of another service
that was given the same prefix by mistake until somebody has noticed."""


class StoreUpkeep:
    """Keeps one namespace of a bucket. `fault` is why the bucket cannot be used now, as a sentence
    for an operator; None while it can."""

    def __init__(
        self, bucket: Bucket, index: BlobIndex, orphan_age: timedelta = ORPHAN_AGE
    ) -> None:
        self._bucket = bucket
        self._index = index
        self._orphan_age = orphan_age
        self.fault: str | None = None

    async def run(self) -> None:
        """Do it for ever."""
        clock = asyncio.get_running_loop().time
        orphans_at = clock()
        while True:
            try:
                await self.probe()
                if self.fault is None:
                    while await self.delete_expired() == DELETED_AT_ONCE:
                        pass
                if self.fault is None and clock() >= orphans_at:
                    orphans_at = clock() + ORPHANS_EVERY_S
                    await self.delete_orphans()
            except OUTAGES as error:
                log.debug("the bucket is kept later: %s", error)
            except Exception:
                log.exception("the bucket could not be kept")
            await asyncio.sleep(EVERY_S)

    async def probe(self) -> None:
        """Set `fault` to what the bucket is like now."""
        try:
            await self._bucket.probe()
        except BucketUnavailable as error:
            if self.fault is None:
                log.warning("%s", error)
            self.fault = str(error)
            return
        if self.fault is not None:
            log.info("the bucket %s answers again", self._bucket.settings.address)
        self.fault = None

    async def delete_expired(self) -> int:
        """Delete objects that are kept no longer; return how many."""
        names, now_ms = await self._index.expired(DELETED_AT_ONCE)
        await self._bucket.delete(names)
        await self._index.forget(names, now_ms)
        return len(names)

    async def delete_orphans(self) -> int:
        """Delete the objects that are not in the index; return how many."""
        deleted = 0
        before = datetime.now(UTC) - self._orphan_age
        async for page in self._bucket.listed():
            old = [name for name, changed in page if changed <= before]
            orphans = await self._index.unknown(old) if old else []
            await self._bucket.delete(orphans)
            deleted += len(orphans)
        if deleted:
            log.warning("%d objects that no job has were deleted from the bucket", deleted)
        return deleted
