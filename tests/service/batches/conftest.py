"""Fixtures: a source server, and a gateway that may fetch from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobs.keys import Keys
from jobs.settings import QueueSettings
from tests.service.harness import RunningGateway, ScriptedWorker, Start, drawn
from tests.support.remote import Remote, remote_server


@pytest.fixture
def keys(queue_settings: QueueSettings) -> Keys:
    """The names in Redis of the fixture `queue`."""
    return Keys(queue_settings.namespace)


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    """A source server with pictures of different sizes at /0 to /9."""
    async with remote_server() as remote:
        for number in range(10):
            remote.serves(f"/{number}", drawn(20 + number, 12))
        yield remote


def fetching(remote: Remote, **more: Any) -> dict[str, Any]:
    """Settings of a gateway that may fetch from a remote."""
    return {
        "sources": ("127.0.0.1",),
        "outbound_allow_private": ("127.0.0.0/8",),
        "outbound_ports": (remote.port,),
    } | more


@pytest.fixture
async def served(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> AsyncIterator[RunningGateway]:
    """A gateway with a ready worker behind it."""
    async with start(**fetching(remote)) as served:
        assert worker.go.is_set()
        yield served
