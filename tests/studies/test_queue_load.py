"""The timing of the queue times every call; how long they take is asserted nowhere."""

from __future__ import annotations

from studies.queue_load import time_queue


async def test_every_call_is_timed(redis_url: str) -> None:
    latencies = await time_queue(redis_url, waiting=3, running=2, claims=4)
    assert set(latencies) == {"submit", "claim", "bound", "complete", "stats"}
    for latency in latencies.values():
        assert 0 < latency.p50 <= latency.p99
