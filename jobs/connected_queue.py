"""The queue of the settings: undivided, or of shards."""

from __future__ import annotations

from jobs.queue import JobQueue
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings, urls_in
from jobs.shards.queue import ShardedQueue


def connect_queue(url: str, settings: QueueSettings) -> JobQueue:
    """Return the queue at a URL, or at several between commas; it connects at its first use."""
    if settings.queue_shards == 1:
        return RedisQueue.connect(url, settings)
    return ShardedQueue(urls_in(url), settings)
