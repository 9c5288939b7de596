"""Where the pictures of jobs are kept, uploaded and upscaled: encoded bytes that expire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from jobs.connection import Command


class QueueBlobs(Protocol):
    """Pictures on the queue's own server: their commands go along with its scripts in one round
    trip, and the scripts delete what is no longer needed."""

    def putting_payload(self, job_id: str, payload: bytes) -> Command:
        """Return the command that stores an uploaded picture until its job is accepted; an existing
        one stays."""

    def putting_result(self, job_id: str, token: int, picture: bytes) -> Command:
        """Return the command that stores the result of one claim of a job."""

    def getting_result(self, job_id: str, token: int) -> Command:
        """Return the command that reads the result of one claim of a job."""


class BlobStore(Protocol):
    """Keeps pictures in Redis (`jobs.redis_blobs`), or in a bucket of an S3 store
    (`jobs.s3_blobs`). Every method may raise one of `jobs.outages.OUTAGES`."""

    @property
    def here(self) -> QueueBlobs | None:
        """The same pictures where they are on the queue's own server; None where they are not."""

    async def put_payload(self, job_id: str, payload: bytes, *, durable: bool = False) -> bool:
        """Store an uploaded picture. Return whether it is on disk, if it is to be `durable`, else
        True. Raises redis-py's OutOfMemoryError where there is no room, and NotDurable."""

    async def check_durable(self) -> None:
        """Raise NotDurable where pictures cannot be kept durably."""

    async def settle(self) -> bool:
        """Wait until all pictures that were stored before are on disk; return whether they are."""

    async def payload(self, job_id: str) -> bytes | None:
        """Return an uploaded picture; None when it has expired."""

    async def drop_payloads(self, job_ids: Iterable[str]) -> None:
        """Delete uploaded pictures that are no longer needed."""

    async def drop_payloads_apart(self, job_ids: Iterable[str]) -> None:
        """Delete the uploaded pictures of jobs that a script has ended, unless they are on the
        queue's own server, where the script has done it."""

    async def check_result(self, picture: bytes) -> None:
        """Raise OutputTooLarge for a result for which there is no room at any time."""

    async def put_result(
        self, job_id: str, token: int, picture: bytes, media_type: str = ""
    ) -> None:
        """Store the result of one claim of a job."""

    async def result(self, job_id: str, token: int) -> bytes | None:
        """Return the result of one claim of a job; None when it has expired."""

    async def result_bytes(self, job_id: str, token: int) -> int:
        """Return the size of the result of one claim of a job; 0 when it has expired."""

    async def result_url(self, job_id: str, token: int) -> str | None:
        """Return a URL from which a caller can fetch the result of one claim of a job, for some
        minutes; None where only the service can read it, or it has expired."""

    async def drop_results(self, claims: Iterable[tuple[str, int]]) -> None:
        """Delete results that were refused, or are needed no longer, by (job id, token)."""
