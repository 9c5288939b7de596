"""Fixtures of the queue tests: the names and the scripts of the test's own namespace."""

from __future__ import annotations

import pytest

from jobs.connection import SteadyRedis
from jobs.keys import Keys
from jobs.scripts import Scripts
from jobs.settings import QueueSettings


@pytest.fixture
def keys(queue_settings: QueueSettings) -> Keys:
    """The names in Redis of the fixture `queue`."""
    return Keys(queue_settings.namespace)


@pytest.fixture
def scripts(raw_redis: SteadyRedis, keys: Keys, queue_settings: QueueSettings) -> Scripts:
    """The scripts of the fixture `queue`, to run one by itself."""
    return Scripts(raw_redis, keys, queue_settings.job_ttl_seconds, pictures_here=True)
