"""Ids of jobs in a divided queue: each tells its shard, so that every call finds the job by it.

A job that gets its id from its request gets the number of its shard at the end (`0af….3`). One
whose caller knows its id beforehand, such as the source of a batch, keeps it, and is in the shard
that the id itself names.
"""

from __future__ import annotations

import zlib

from jobs.errors import JobNotFound

MARK = "."
"""No other id of a job has one."""


def placed(job_id: str, shard: int) -> str:
    """Return the id of a job in a shard."""
    return f"{origin(job_id)}{MARK}{shard}"


def origin(job_id: str) -> str:
    """Return the id that a job had before it got a shard."""
    return job_id.partition(MARK)[0]


def named_shard(name: str, shards: int) -> int:
    """Return the shard that an id, or the digest of an idempotency key, names by itself."""
    return zlib.crc32(name.encode()) % shards


def shard_of(job_id: str, shards: int) -> int:
    """Return the shard of a job. Raises JobNotFound for an id that no job of so many can have."""
    name, mark, number = job_id.partition(MARK)
    if not mark:
        return named_shard(name, shards)
    if not (number.isascii() and number.isdecimal() and len(number) <= 4 and int(number) < shards):
        raise JobNotFound
    return int(number)
