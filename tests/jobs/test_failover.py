"""A queue behind Sentinel, whose primary dies: submissions go on at the promoted replica."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from benchmarks.durability.sentinel_group import follow
from benchmarks.durability.server import (
    APPENDING,
    LEAST_DOWN_AFTER_MS,
    TrialSentinel,
    TrialServer,
    Watch,
    any_server,
    running,
)
from jobs.job import Job
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.support.waiting import eventually

ALONE = Watch(sentinels=1, quorum=1, down_after_ms=LEAST_DOWN_AFTER_MS)
"""A sentinel that need not find others first, which takes seconds."""
OPTIONS = {**APPENDING, "repl-diskless-sync-delay": "0"}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[TrialServer, TrialServer]]:
    """A primary, and a replica that has all of it."""
    primary, replica = (TrialServer(any_server(), tmp_path / name, OPTIONS) for name in "ab")
    follow(replica, primary)
    with running(primary), running(replica):
        yield primary, replica


async def test_submissions_go_on_at_the_promoted_server(
    servers: tuple[TrialServer, TrialServer],
    tmp_path: Path,
    queue_settings: QueueSettings,
    open_queue: Callable[[str, QueueSettings], RedisQueue],
    make_job: Callable[..., Job],
) -> None:
    primary, replica = servers
    watching = TrialSentinel(any_server(), tmp_path / "sentinel", "queue", primary.port, ALONE)
    with running(watching) as sentinel:
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/queue"
        queue = open_queue(url, queue_settings)
        before = make_job()
        await queue.submissions.submit(before, b"picture")
        record = Keys(queue_settings.namespace).record(before.id)
        await eventually(lambda: in_step(sentinel, replica, record), "a replica to promote")
        primary.kill()
        after = make_job()

        async def accepted() -> bool:
            with contextlib.suppress(ConnectionError):
                await queue.submissions.submit(after, b"picture")
                return True
            return False

        await eventually(accepted, "the promotion")
        promoted = open_queue(replica.url, queue_settings)
        for job in (before, after):
            assert (await promoted.submissions.view(job.id)).job == job


def in_step(sentinel: TrialSentinel, replica: TrialServer, record: str) -> bool:
    """Return whether a replica has a record, and its sentinel could promote it."""
    with contextlib.suppress(RedisError), sentinel.client() as asked, replica.client() as client:
        states: Any = asked.sentinel_slaves("queue")
        return [one["flags"] for one in states] == ["slave"] and bool(client.exists(record))
    return False
