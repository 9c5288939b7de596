"""Ids in a divided queue: the last digits of a job's id tell its shard, and so do those of the
digest of an idempotency key. So every call finds a job by its id alone."""

from __future__ import annotations

import zlib

DIGITS = 3
"""Hexadecimal digits, for more shards than the settings allow."""


def placed(job_id: str, shard: int) -> str:
    """Return the id of a job in a shard, from that of its request. The other 29 of 32 digits stay
    random."""
    return f"{job_id[:-DIGITS]}{shard:0{DIGITS}x}"


def of_one_request(job_id: str, request_id: str) -> bool:
    """Return whether a job, in whichever shard, was given its id by a request."""
    return job_id[:-DIGITS] == request_id[:-DIGITS]


def shard_of(name: str, shards: int) -> int:
    """Return the shard of a job, by its id, or that of an idempotency key, by its digest."""
    try:
        return int(name[-DIGITS:], 16) % shards
    except ValueError:  # none that this service has made
        return zlib.crc32(name.encode()) % shards
