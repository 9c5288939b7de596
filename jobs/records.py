"""Job records in Redis, and the views and claims that are read from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from redis.exceptions import ResponseError

from jobs.backlog import backlog_of
from jobs.codec import JOB, RUN_FACTS, CodecError, decode_details
from jobs.connection import Command, SteadyRedis
from jobs.errors import DataLoss, IdempotencyKeyReused, JobNotFound, is_code
from jobs.job import Claim, DeliveryKind, DeliveryView, JobStatus, JobView
from jobs.keys import Keys

log = logging.getLogger(__name__)

Record = Mapping[bytes, bytes]
"""The fields of a record hash, as redis-py returns them."""
PLACE_FIELDS = {DeliveryKind.RESULT: "place", DeliveryKind.WEBHOOK: "url"}
"""Field that tells where a delivery goes, after its kind."""


class JobRecords:
    """Reads the records of one namespace."""

    def __init__(self, client: SteadyRedis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def view(self, job_id: str) -> JobView:
        """Return a job as it is. Raises JobNotFound; DataLoss for a damaged record."""
        (record,) = await self._client.together(self._reading(job_id))
        return view_in(record)

    async def view_and(self, job_id: str, command: Command) -> tuple[JobView, Any]:
        """Return a job as `view` does, and the answer of another command in the same round trip;
        None if that command was refused."""
        record, answer = await self._client.together(self._reading(job_id), command)
        return view_in(record), None if isinstance(answer, ResponseError) else answer

    def _reading(self, job_id: str) -> Command:
        return ("HGETALL", self._keys.record(job_id))


def view_in(record: Record | ResponseError) -> JobView:
    """Return the job of a record. Raises JobNotFound and DataLoss."""
    if isinstance(record, ResponseError):
        log.warning("damaged job record: %s", record)
        raise DataLoss.of("record")
    if not record:
        raise JobNotFound
    try:
        return view_of(record)
    except ValueError as error:
        log.warning("damaged job record: %s", error)
        raise DataLoss.of("record") from error


def pairs(flat: list[bytes]) -> Record:
    """Return the record in a script's answer, which has fields and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def earlier_in(answer: list[Any]) -> JobView | None:
    """Return the job in the answer of `repeated` in shared/repeats.lua; None in any other answer.
    Raises IdempotencyKeyReused, and DataLoss for a damaged record."""
    if answer[0] == b"reused":
        raise IdempotencyKeyReused
    return view_in(pairs(answer[1])) if answer[0] == b"same" else None


def view_of(record: Record) -> JobView:
    """Return the job that a record describes. Raises CodecError for a damaged one."""
    facts, details = record.get(b"facts"), record.get(b"error_details")
    try:
        return JobView(
            job=JOB.decode(record[b"job"]),
            status=JobStatus(record[b"status"].decode()),
            submitted_ms=float(record[b"submitted_ms"]),
            deadline_ms=float(record[b"deadline_ms"]),
            finished_ms=moment_of(record.get(b"finished_ms")),
            progress=float(record.get(b"progress", b"0")),
            attempt=int(record.get(b"attempt", b"0")),
            token=int(record.get(b"token", b"0")),
            facts=RUN_FACTS.decode(facts) if facts is not None else None,
            error_code=_error_code(record.get(b"error_code")),
            error_detail=_text(record.get(b"error_detail")),
            error_details=decode_details(details) if details is not None else {},
            webhook=delivery_of(record, DeliveryKind.WEBHOOK),
            destination=delivery_of(record, DeliveryKind.RESULT),
        )
    except (KeyError, ValueError) as error:
        raise CodecError(str(error)) from error


def delivery_of(record: Record, kind: DeliveryKind) -> DeliveryView | None:
    """Return the delivery of a kind in a record; None without one. Raises KeyError, ValueError."""

    def field(name: str) -> bytes | None:
        return record.get(f"{kind}_{name}".encode())

    to = field(PLACE_FIELDS[kind])
    if to is None:
        return None
    return DeliveryView(
        to=to.decode(),
        host=record[f"{kind}_host".encode()].decode(),
        attempts=int(field("attempts") or b"0"),
        answer=_text(field("answer")),
        due_ms=moment_of(field("due_ms")),
        delivered_ms=moment_of(field("delivered_ms")),
        dead_ms=moment_of(field("dead_ms")),
    )


def claim_of(row: list[Any], payload: bytes, *, handed_over: bool) -> Claim:
    """Return the claim in the answer of claim.lua. Raises CodecError for a damaged record."""
    _, token, attempt, job, submitted_ms, deadline_ms, backlog = row
    try:
        return Claim(
            job=JOB.decode(job),
            payload=payload,
            token=int(token),
            attempt=int(attempt),
            submitted_ms=float(submitted_ms),
            deadline_ms=float(deadline_ms),
            backlog=backlog_of(backlog),
            handed_over=handed_over,
        )
    except ValueError as error:
        raise CodecError(str(error)) from error


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _error_code(value: bytes | None) -> str | None:
    """Return the code of an error. Raises CodecError for one that there is not."""
    code = _text(value)
    if code is not None and not is_code(code):
        raise CodecError(f"an error of the unknown code {code}")
    return code


def moment_of(value: bytes | None) -> float | None:
    """Return a field of milliseconds. Raises ValueError."""
    return None if value is None else float(value)
