"""Uploads on Redis and a bucket: the record says who may use one, the bucket has its bytes."""

from __future__ import annotations

import contextlib
import secrets
from importlib import resources

from jobs.blob_index import BlobIndex
from jobs.bucket import Bucket
from jobs.connection import SteadyRedis
from jobs.errors import Overloaded, UploadNotFound, UploadUsed
from jobs.keys import Keys
from jobs.outages import OUTAGES, BucketFull, reports_outages
from jobs.uploads import NewUpload, StoredUpload, TakenUpload, Uploads

HELD_S = 300
"""How long a request has an upload at most, if its gateway dies with it."""
LATE_S = 120
"""How long the bytes of an expired upload are kept, for a PUT that began in time."""
ONCE = {"If-None-Match": "*"}
"""Makes a store refuse a second PUT (412), where it knows conditional writes."""
RETRY_S = 5


class S3Uploads(Uploads):
    """The uploads of one namespace."""

    def __init__(
        self,
        client: SteadyRedis,
        keys: Keys,
        bucket: Bucket,
        index: BlobIndex,
        valid_s: int,
    ) -> None:
        folder = resources.files("jobs") / "lua"
        self._keys = keys
        self._bucket = bucket
        self._index = index
        self._valid_s = valid_s
        self._create, self._take, self._end = (
            client.register_script((folder / f"{step}_upload.lua").read_text("utf-8"))
            for step in ("create", "take", "end")
        )
        self._client = client

    @reports_outages
    async def create(
        self, owner: str, counted_as: str, media_type: str, size: int, most_open: int
    ) -> NewUpload:
        upload_id = secrets.token_hex(16)
        keys = [self._keys.upload(upload_id), self._keys.open_uploads(counted_as)]
        arguments: list[str | float] = [upload_id, owner, size, self._valid_s, most_open]
        if not await self._create(keys=keys, args=arguments):
            raise Overloaded(
                f"You have {most_open} uploads that no job has taken; use them, or wait until they "
                "expire.",
                retry_after_s=RETRY_S,
            )
        name = self._name(upload_id)
        try:
            await self._index.reserve(name, size, self._valid_s + LATE_S)
        except BucketFull:
            await self._client.unlink(keys[0])
            await self._client.zrem(keys[1], upload_id)
            raise Overloaded(retry_after_s=RETRY_S) from None
        headers = {"Content-Type": media_type, "Content-Length": str(size), **ONCE}
        url = self._bucket.url_to_put(name, headers, self._valid_s)
        return NewUpload(upload_id, url, headers, self._valid_s)

    @reports_outages
    async def take(self, upload_id: str, owner: str, by: str) -> TakenUpload:
        found = await self._take(
            keys=[self._keys.upload(upload_id)], args=[owner, by, HELD_S * 1000]
        )
        if found == b"unknown":
            raise UploadNotFound
        if found == b"used":
            raise UploadUsed
        return TakenUpload(upload_id, int(found), by)

    @reports_outages
    async def stored(self, upload: TakenUpload) -> StoredUpload | None:
        meta = await self._bucket.meta(self._name(upload.id))
        return None if meta is None else StoredUpload(meta.size, meta.tag)

    @reports_outages
    async def part(
        self, upload: TakenUpload, stored: StoredUpload, first: int, end: int
    ) -> bytes | None:
        return await self._bucket.part(self._name(upload.id), first, end, stored.tag)

    async def end(self, upload: TakenUpload, *, used: bool) -> None:
        with contextlib.suppress(*OUTAGES):
            await self._end(
                keys=[self._keys.upload(upload.id)],
                args=[upload.id, upload.by, "1" if used else ""],
            )
            if used and not upload.by:
                # An empty object stays until the URL has expired: a deleted one could be written
                # anew. With a key, a repetition needs the picture.
                name = self._name(upload.id)
                await self._bucket.put(name, b"")
                await self._index.reserve(name, 0, self._valid_s + LATE_S)

    def _name(self, upload_id: str) -> str:
        return self._bucket.name("uploads", upload_id)
