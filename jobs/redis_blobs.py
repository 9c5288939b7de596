"""The pictures of jobs in Redis: encoded bytes under their own expiring keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import cast

from redis.exceptions import ResponseError

from jobs.blob_bound import ALWAYS_HELD_BYTES, most_bytes
from jobs.blob_store import BlobStore
from jobs.connection import Command, SteadyRedis
from jobs.durability import DurableCalls
from jobs.errors import OutputTooLarge
from jobs.formats import lossy_labels
from jobs.keys import Keys
from jobs.outages import OUTAGES
from jobs.settings import QueueSettings

UNACCEPTED_S = 30
"""Time to live of an uploaded picture before its job is accepted: if the gateway dies in between,
nothing else would delete it."""


class RedisBlobs(BlobStore):
    """Pictures in Redis, in the queue's or in one of their own. In the queue's they are sent in one
    round trip with its scripts, which also delete those that are no longer needed."""

    def __init__(
        self,
        client: SteadyRedis,
        keys: Keys,
        settings: QueueSettings,
        durable: DurableCalls,
        *,
        apart: bool,
    ) -> None:
        self._client = client
        self._keys = keys
        self._settings = settings
        self._durable = durable
        self._apart = apart

    @property
    def here(self) -> RedisBlobs | None:
        """Itself in the queue's Redis; None in one of its own."""
        return None if self._apart else self

    def putting_payload(self, job_id: str, payload: bytes) -> Command:
        """Return the command that stores an uploaded picture for `UNACCEPTED_S`; an existing one
        stays."""
        ttl = min(UNACCEPTED_S, self._settings.payload_ttl_seconds)
        return ("SET", self._keys.payload(job_id), payload, "NX", "EX", ttl)

    async def put_payload(self, job_id: str, payload: bytes, *, durable: bool = False) -> bool:
        ttl = self._settings.payload_ttl_seconds
        putting: Command = ("SET", self._keys.payload(job_id), payload, "NX", "EX", ttl)
        if not durable:
            await self._client.execute_command(*putting)
            return True
        (stored,), on_disk = await self._durable.together(putting)
        if isinstance(stored, ResponseError):
            raise stored
        return on_disk

    async def check_durable(self) -> None:
        await self._durable.check()

    async def settle(self) -> bool:
        return await self._durable.settle()

    async def payload(self, job_id: str) -> bytes | None:
        return cast("bytes | None", await self._client.get(self._keys.payload(job_id)))

    async def drop_payloads(self, job_ids: Iterable[str]) -> None:
        await self._drop([self._keys.payload(job_id) for job_id in job_ids])

    async def drop_payloads_apart(self, job_ids: Iterable[str]) -> None:
        if self._apart:
            await self.drop_payloads(job_ids)

    def putting_result(self, job_id: str, token: int, picture: bytes) -> Command:
        """Return the command that stores the result of one claim of a job."""
        ttl = self._settings.result_ttl_seconds
        return ("SET", self._keys.result(job_id, token), picture, "EX", ttl)

    async def check_result(self, picture: bytes) -> None:
        # The server would end the connection while such a picture is sent, as in an outage.
        if len(picture) <= ALWAYS_HELD_BYTES:
            return
        most = await most_bytes(self._client)
        if len(picture) > most:
            raise OutputTooLarge(
                f"The encoded picture has {len(picture)} bytes; the queue's Redis holds at most "
                f"{most}. Ask for a smaller scale, or a format with loss ({lossy_labels()}).",
                max_bytes=most,
            )

    async def put_result(
        self, job_id: str, token: int, picture: bytes, media_type: str = ""
    ) -> None:
        del media_type  # Redis has none
        await self._client.execute_command(*self.putting_result(job_id, token, picture))

    def getting_result(self, job_id: str, token: int) -> Command:
        """Return the command that reads the result of one claim of a job."""
        return ("GET", self._keys.result(job_id, token))

    async def result(self, job_id: str, token: int) -> bytes | None:
        return cast("bytes | None", await self._client.get(self._keys.result(job_id, token)))

    async def result_bytes(self, job_id: str, token: int) -> int:
        return int(await self._client.strlen(self._keys.result(job_id, token)))

    async def result_url(self, job_id: str, token: int) -> None:
        del job_id, token  # no caller can reach Redis

    async def drop_results(self, claims: Iterable[tuple[str, int]]) -> None:
        await self._drop([self._keys.result(job_id, token) for job_id, token in claims])

    async def _drop(self, names: list[str]) -> None:
        # The job's outcome is stored already, so an outage here is no error: the pictures expire
        # later.
        with contextlib.suppress(*OUTAGES):
            if names:
                await self._client.unlink(*names)
