"""URLs of a Redis behind Sentinel, and a queue behind a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio.sentinel import SentinelConnectionPool

from benchmarks.durability.server import (
    APPENDING,
    TrialSentinel,
    TrialServer,
    Watch,
    any_server,
    free_port,
    running,
)
from jobs.connection import connect
from jobs.job import Job
from jobs.redis_queue import RedisQueue
from jobs.sentinel_url import SentinelUrl, is_sentinel_url, read_sentinel_url
from jobs.settings import QueueSettings


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("redis+sentinel://a/queue", SentinelUrl((("a", 26379),), "queue")),
        (
            "redis+sentinel://a:1,b,[::1]:3/queue/2",
            SentinelUrl((("a", 1), ("b", 26379), ("::1", 3)), "queue", 2),
        ),
        (
            "rediss+sentinel://u:p%40w@a/queue?sentinel_username=s&sentinel_password=t",
            SentinelUrl((("a", 26379),), "queue", 0, True, "u", "p@w", "s", "t"),
        ),
    ],
)
def test_a_url_is_read(url: str, read: SentinelUrl) -> None:
    assert is_sentinel_url(url)
    assert read_sentinel_url(url) == read
    assert QueueSettings(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a",
        "redis+sentinel:///queue",
        "redis+sentinel://a,,b/queue",
        "redis+sentinel://a:x/queue",
        "redis+sentinel://a:70000/queue",
        "redis+sentinel://a/queue/one",
        "redis+sentinel://u:secret@a/queue?timeout=3",
    ],
)
def test_a_wrong_url_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|Port|port") as wrong:
        QueueSettings(redis_url=url)
    assert "secret" not in str(wrong.value)


def test_secrets_are_not_shown() -> None:
    url = read_sentinel_url("redis+sentinel://u:first@a/queue?sentinel_password=second")
    assert "first" not in repr(url)
    assert "second" not in repr(url)


async def no_sentinel_is_forgotten(url: str) -> None:
    """Several calls at once, of which each needs a connection, pass over one that is away."""
    client = connect(url)
    await asyncio.gather(*(client.ping() for _ in range(8)))
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    ports = {
        one.connection_pool.connection_kwargs["port"] for one in pool.sentinel_manager.sentinels
    }
    assert ports == {port for _, port in read_sentinel_url(url).addresses}
    await client.aclose()


async def test_a_queue_is_found_through_its_sentinels(
    tmp_path: Path,
    queue_settings: QueueSettings,
    open_queue: Callable[[str, QueueSettings], RedisQueue],
    make_job: Callable[..., Job],
) -> None:
    executable = any_server()
    with running(TrialServer(executable, tmp_path / "primary", APPENDING)) as primary:
        watching = TrialSentinel(
            executable, tmp_path / "sentinel", "queue", primary.port, Watch(quorum=1)
        )
        with running(watching) as sentinel:
            away = free_port()
            url = f"redis+sentinel://127.0.0.1:{away},127.0.0.1:{sentinel.port}"
            queue = open_queue(f"{url}/queue", queue_settings)
            job = make_job()
            await queue.submissions.submit(job, b"picture")
            claim = await open_queue(primary.url, queue_settings).leases.claim("w", 0)
            assert claim is not None
            assert (claim.job, claim.payload) == (job, b"picture")
            await no_sentinel_is_forgotten(f"{url}/queue")
            unknown = open_queue(f"{url}/other", queue_settings)
            with pytest.raises(ConnectionError, match="other"):
                await unknown.submissions.stats()
