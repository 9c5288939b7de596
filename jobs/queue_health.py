"""Health of the queue: counters of its whole life, and the memory of its servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RedisMemory:
    """The memory of one Redis server of the queue."""

    holds: str
    """What the server holds: `queue`, or `pictures` where these have a Redis of their own."""
    used_bytes: int
    limit_bytes: int
    """The server's `maxmemory`, or the memory of its machine if none is set."""


@dataclass(frozen=True)
class BucketFill:
    """What the pictures in the bucket take, by the index in Redis: also those that are about to be
    written, or deleted."""

    objects: int
    used_bytes: int
    limit_bytes: int
    """`ANYSR_BLOB_MB`."""


@dataclass(frozen=True)
class QueueHealth:
    """Health of the queue. Counts cover its whole life, over all gateways and workers."""

    redeliveries: int
    """Jobs requeued because their worker was lost."""
    dead_letters: int
    """Jobs given up after too many workers were lost with them."""
    worker_starts: int
    """Worker processes that were started."""
    stuck_workers: int = 0
    """Worker processes that hung and were replaced."""
    webhooks_delivered: int = 0
    webhook_failures: int = 0
    """Attempts to deliver a webhook that failed."""
    webhooks_dead: int = 0
    """Webhooks that were given up."""
    webhooks_waiting: int = 0
    """Webhooks that are due, or will be tried again."""
    results_delivered: int = 0
    """Pictures that were put where their callers wanted them."""
    result_failures: int = 0
    """Attempts to do so that failed."""
    results_dead: int = 0
    """Pictures that were given up."""
    results_waiting: int = 0
    """Pictures that are due, or will be tried again."""
    batches_open: int = 0
    """Batches that have not ended."""
    batch_sources: Mapping[str, int] = field(default_factory=dict)
    """Sources of batches that have ended, by their state (`jobs.batch.ItemState`)."""
    memory: tuple[RedisMemory, ...] = ()
    bucket: BucketFill | None = None
    """None where the pictures are in Redis."""
