"""The study of the queue's load times every call. No time is asserted."""

from __future__ import annotations

from studies.queue_load import time_queue


async def test_every_call_is_timed(redis_url: str) -> None:
    latencies = await time_queue(redis_url, waiting=3, running=2, claims=4)
    assert set(latencies) == {"submit", "claim", "expected end", "complete", "stats"}
    for latency in latencies.values():
        assert 0 < latency.p50 <= latency.p99
