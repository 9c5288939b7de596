"""What all rooms' tests share: a real Redis server, and a fresh queue on it for each test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from jobs.embedded_redis import embedded_redis
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a private server that lives as long as the test session."""
    with embedded_redis() as url:
        yield url


@pytest.fixture
def queue_settings() -> QueueSettings:
    """Settings of a namespace that no other test uses."""
    return QueueSettings(namespace=f"test-{uuid.uuid4().hex}")


@pytest.fixture
async def queue(redis_url: str, queue_settings: QueueSettings) -> AsyncIterator[RedisQueue]:
    """An empty queue, closed afterwards."""
    queue = RedisQueue.connect(redis_url, queue_settings)
    yield queue
    await queue.close()
