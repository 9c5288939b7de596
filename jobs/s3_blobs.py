"""The pictures of jobs in a bucket of an S3 store. Each is noted in the index before it is written,
and forgotten after it was deleted, so that none is left over whoever dies in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

from jobs.blob_index import BlobIndex
from jobs.blob_store import BlobStore
from jobs.bucket import Bucket
from jobs.errors import OutputTooLarge
from jobs.formats import lossy_labels
from jobs.outages import OUTAGES
from jobs.settings import QueueSettings

GIVEN_UP_S = 120
"""When an object is deleted whose writing has failed: by then nobody tries it again
(`jobs.outages.DELIVERY_PAUSES_S`)."""
URL_S = 300
"""How long a URL of a result can be used, if the result is kept for so long."""


class S3Blobs(BlobStore):
    """The pictures of one namespace."""

    def __init__(self, bucket: Bucket, index: BlobIndex, settings: QueueSettings) -> None:
        self._bucket = bucket
        self._index = index
        self._settings = settings

    @property
    def here(self) -> None:
        """None: the bucket is not on the queue's server."""
        return None

    async def check_durable(self) -> None:
        """Raise nothing: a store that has answered keeps what it was given."""

    async def settle(self) -> bool:
        return True

    async def put_payload(self, job_id: str, payload: bytes, *, durable: bool = False) -> bool:
        del durable  # each is
        kept_s = self._settings.payload_ttl_seconds
        await self._put(self._payload(job_id), payload, kept_s)
        return True

    async def payload(self, job_id: str) -> bytes | None:
        return await self._get(self._payload(job_id))

    async def drop_payloads(self, job_ids: Iterable[str]) -> None:
        await self.drop([self._payload(job_id) for job_id in job_ids])

    async def drop_payloads_apart(self, job_ids: Iterable[str]) -> None:
        await self.drop_payloads(job_ids)

    async def check_result(self, picture: bytes) -> None:
        most = self._index.most_bytes
        if len(picture) > most:
            raise OutputTooLarge(
                f"The encoded picture has {len(picture)} bytes; the queue's bucket holds at most "
                f"{most}. Ask for a smaller scale, or a format with loss ({lossy_labels()}).",
                max_bytes=most,
            )

    async def put_result(
        self, job_id: str, token: int, picture: bytes, media_type: str = ""
    ) -> None:
        kept_s = self._settings.result_ttl_seconds
        await self._put(self.result_name(job_id, token), picture, kept_s, media_type)

    async def result(self, job_id: str, token: int) -> bytes | None:
        return await self._get(self.result_name(job_id, token))

    async def result_bytes(self, job_id: str, token: int) -> int:
        return await self._index.size(self.result_name(job_id, token))

    async def result_url(self, job_id: str, token: int) -> str | None:
        name = self.result_name(job_id, token)
        left_s = int(await self._index.left_s(name))
        if not left_s or await self._bucket.meta(name) is None:
            return None
        return await self._bucket.url_to_get(name, min(URL_S, left_s))

    async def drop_results(self, claims: Iterable[tuple[str, int]]) -> None:
        await self.drop([self.result_name(job_id, token) for job_id, token in claims])

    def result_name(self, job_id: str, token: int) -> str:
        """Return the name of the result of one claim; no claim can touch that of another."""
        return self._bucket.name("results", job_id, str(token))

    async def drop(self, names: Sequence[str]) -> None:
        """Delete objects. What an outage prevents is done later (`jobs.store_upkeep`)."""
        try:
            await self._bucket.delete(names)
            await self._index.forget(names)
        except OUTAGES:
            await self._expire(names)

    async def _expire(self, names: Sequence[str], after_s: float = 0.0) -> None:
        with contextlib.suppress(*OUTAGES):
            await self._index.expire(names, after_s)

    def _payload(self, job_id: str) -> str:
        return self._bucket.name("payloads", job_id)

    async def _put(self, name: str, picture: bytes, kept_s: float, media_type: str = "") -> None:
        await self._index.reserve(name, len(picture), kept_s)
        try:
            await self._bucket.put(name, picture, media_type)
        except BaseException:  # what the store has of it is unknown
            await asyncio.shield(self._expire([name], GIVEN_UP_S))
            raise

    async def _get(self, name: str) -> bytes | None:
        size = await self._index.size(name)
        return await self._bucket.get(name, size) if size else None
