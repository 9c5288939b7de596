"""Job records as Redis keeps them, and the views and claims that are read from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.backlog import backlog_of
from jobs.codec import JOB, RUN_FACTS, CodecError, decode_details
from jobs.errors import InternalError, JobNotFound
from jobs.job import Claim, JobStatus, JobView
from jobs.keys import Keys

Record = Mapping[bytes, bytes]
"""The fields of a record hash, as redis-py returns them."""


class JobRecords:
    """Reads the records of one namespace."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def view(self, job_id: str) -> JobView:
        """Return a job as it is. Raises JobNotFound; InternalError for a damaged record."""
        try:
            record = cast("Record", await self._client.hgetall(self._keys.record(job_id)))
            if not record:
                raise JobNotFound
            return view_of(record)
        except (ValueError, ResponseError) as error:
            raise InternalError(f"damaged job record: {error}") from error


def view_of(record: Record) -> JobView:
    """Return the job that a record describes; CodecError if it is damaged."""
    facts, details = record.get(b"facts"), record.get(b"error_details")
    try:
        return JobView(
            job=JOB.decode(record[b"job"]),
            status=JobStatus(record[b"status"].decode()),
            submitted_ms=float(record[b"submitted_ms"]),
            deadline_ms=float(record[b"deadline_ms"]),
            finished_ms=float(record[b"finished_ms"]) if b"finished_ms" in record else None,
            progress=float(record.get(b"progress", b"0")),
            attempt=int(record.get(b"attempt", b"0")),
            token=int(record.get(b"token", b"0")),
            facts=RUN_FACTS.decode(facts) if facts is not None else None,
            error_code=_text(record.get(b"error_code")),
            error_detail=_text(record.get(b"error_detail")),
            error_details=decode_details(details) if details is not None else {},
        )
    except (KeyError, ValueError) as error:
        raise CodecError(str(error)) from error


def claim_of(row: list[Any], payload: bytes) -> Claim:
    """Return the claim that claim.lua answered; CodecError if its record is damaged."""
    _, token, attempt, job, submitted_ms, deadline_ms, others = row
    backlog = backlog_of(others)
    try:
        return Claim(
            job=JOB.decode(job),
            payload=payload,
            token=int(token),
            attempt=int(attempt),
            submitted_ms=float(submitted_ms),
            deadline_ms=float(deadline_ms),
            claimed_ms=backlog.now_ms,
            backlog=backlog,
        )
    except ValueError as error:
        raise CodecError(str(error)) from error


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
