"""The pictures of jobs, uploaded and finished: encoded bytes under their own expiring keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import cast

from jobs.connection import OUTAGES, Command, SteadyRedis
from jobs.keys import Keys
from jobs.settings import QueueSettings

UNACCEPTED_S = 30
"""How long an uploaded picture is kept whose job is not accepted yet: should the process that sent
it end just then, nobody else will miss it."""


class BlobStore:
    """Pictures in Redis, which need not be the queue's. Where it is, they travel along with its
    scripts, which also forget those that nobody needs any more."""

    def __init__(
        self, client: SteadyRedis, keys: Keys, settings: QueueSettings, *, apart: bool
    ) -> None:
        self._client = client
        self._keys = keys
        self._settings = settings
        self.apart = apart
        """Whether their Redis is not the queue's."""

    def putting_payload(self, job_id: str, payload: bytes) -> Command:
        """Return the command that keeps an uploaded picture for a moment; one that is already there
        stays."""
        ttl = min(UNACCEPTED_S, self._settings.payload_ttl_seconds)
        return ("SET", self._keys.payload(job_id), payload, "NX", "EX", ttl)

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

    async def drop_payloads_apart(self, job_ids: Iterable[str]) -> None:
        """Forget those of jobs that a script has ended, which does so itself where it can."""
        if self.apart:
            await self.drop_payloads(job_ids)

    def putting_result(self, job_id: str, token: int, picture: bytes) -> Command:
        """Return the command that keeps what one claim made of a job."""
        ttl = self._settings.result_ttl_seconds
        return ("SET", self._keys.result(job_id, token), picture, "EX", ttl)

    async def put_result(self, job_id: str, token: int, picture: bytes) -> None:
        """Keep what one claim made of a job."""
        await self._client.execute_command(*self.putting_result(job_id, token, picture))

    def getting_result(self, job_id: str, token: int) -> Command:
        """Return the command that reads what a claim made of a job."""
        return ("GET", self._keys.result(job_id, token))

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
