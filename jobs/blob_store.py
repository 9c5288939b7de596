"""The pictures of jobs, uploaded and finished: encoded bytes under their own expiring keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import cast

from redis.asyncio import Redis

from jobs.connection import OUTAGES
from jobs.keys import Keys
from jobs.settings import QueueSettings


class BlobStore:
    """Pictures in Redis, which need not be the queue's: no script touches them."""

    def __init__(self, client: Redis, keys: Keys, settings: QueueSettings) -> None:
        self._client = client
        self._keys = keys
        self._settings = settings

    async def put_payload(self, job_id: str, payload: bytes) -> None:
        """Keep an uploaded picture; one that is already there stays."""
        ttl = self._settings.payload_ttl_seconds
        await self._client.set(self._keys.payload(job_id), payload, ex=ttl, nx=True)

    async def payload(self, job_id: str) -> bytes | None:
        """Return an uploaded picture; None when its time is over."""
        return cast("bytes | None", await self._client.get(self._keys.payload(job_id)))

    async def drop_payloads(self, job_ids: Iterable[str]) -> None:
        """Forget uploaded pictures that nobody will need again."""
        await self._drop([self._keys.payload(job_id) for job_id in job_ids])

    async def put_result(self, job_id: str, token: int, picture: bytes) -> None:
        """Keep what one claim made of a job."""
        ttl = self._settings.result_ttl_seconds
        await self._client.set(self._keys.result(job_id, token), picture, ex=ttl)

    async def result(self, job_id: str, token: int) -> bytes | None:
        """Return what a claim made of a job; None when its time is over."""
        return cast("bytes | None", await self._client.get(self._keys.result(job_id, token)))

    async def drop_result(self, job_id: str, token: int) -> None:
        """Forget a result that was refused."""
        await self._drop([self._keys.result(job_id, token)])

    async def _drop(self, names: list[str]) -> None:
        # What the job came to is settled already, so an outage here is nobody's error: the
        # time to live does the same later.
        with contextlib.suppress(*OUTAGES):
            if names:
                await self._client.unlink(*names)
