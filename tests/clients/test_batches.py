"""Batches of addresses by both kinds of client, at a gateway that fetches from this machine."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from anysr_client import (
    Address,
    AsyncClient,
    BatchState,
    Client,
    InvalidRequest,
    NotFound,
    Source,
    SourceFailed,
    SourceState,
    Upscaled,
    Url,
)
from anysr_client.batch_operations import Order
from tests.clients.conftest import QUICK
from tests.service.batches.conftest import fetching
from tests.service.harness import RunningGateway, ScriptedWorker, Start, drawn
from tests.support.remote import Remote, remote_server


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    """A server with two pictures."""
    async with remote_server() as remote:
        remote.serves("/a", drawn(20, 12))
        remote.serves("/b", drawn(21, 12))
        yield remote


@pytest.fixture
async def gateway(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> AsyncIterator[RunningGateway]:
    assert worker.go.is_set()
    async with start(**fetching(remote)) as served:
        yield served


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(str(gateway.client.base_url), retries=QUICK) as client:
        yield client


def size_of(made: Upscaled) -> tuple[int, int]:
    with Image.open(io.BytesIO(made.picture)) as image:
        return image.size


def check(states: list[BatchState], sources: tuple[SourceState, ...]) -> None:
    """Check a batch of /a, /missing and /b, of which the last has a name."""
    assert (states[-1].status, states[-1].progress, states[-1].ended) == ("finished", 1.0, True)
    assert (states[-1].counts["succeeded"], states[-1].counts["failed"]) == (2, 1)
    assert states[-1].options == {"scale": "2", "latency_budget_ms": "60000.000"}
    assert [source.state for source in sources] == ["succeeded", "failed", "succeeded"]
    assert [source.name for source in sources] == [None, None, "the last"]
    assert isinstance(sources[1].failure, SourceFailed)
    assert sources[0].failure is None


async def test_an_awaited_batch_from_submission_to_its_pictures(
    client: AsyncClient, remote: Remote
) -> None:
    last = Source(remote.url("/b"), name="the last")
    given: list[Address] = [Url(remote.url("/a")), remote.url("/missing"), last]
    batch = await client.submit_batch(given, scale=2, budget=60)
    states = [state async for state in batch.events()]
    sources = await batch.sources()
    check(states, sources)
    assert size_of(await batch.result(sources[2])) == (42, 24)
    with pytest.raises(SourceFailed):
        raise sources[1].failure or AssertionError
    again = client.submitted_batch(batch.id)
    assert await again.wait() == await again.cancel() == states[-1]


async def test_a_blocking_batch(gateway: RunningGateway, remote: Remote) -> None:
    def made() -> tuple[list[BatchState], tuple[SourceState, ...], tuple[int, int]]:
        with Client(str(gateway.client.base_url), retries=QUICK) as client:
            last = Source(remote.url("/b"), name="the last")
            batch = client.submit_batch(
                [remote.url("/a"), remote.url("/missing"), last], scale=2, budget=60
            )
            states = list(batch.events())
            sources = batch.sources()
            assert client.submitted_batch(batch.id).wait() == states[-1]
            return states, sources, size_of(batch.result(sources[0]))

    states, sources, size = await asyncio.to_thread(made)
    check(states, sources)
    assert size == (40, 24)


async def test_a_repeated_call_finds_its_batch(client: AsyncClient, remote: Remote) -> None:
    given = [remote.url("/a")]
    first = await client.submit_batch(given, scale=2, idempotency_key="one")
    again = await client.submit_batch(given, scale=2, idempotency_key="one")
    other = await client.submit_batch(given, scale=2)
    assert first.id == again.id != other.id


async def test_what_is_left_is_withdrawn(
    client: AsyncClient, remote: Remote, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    batch = await client.submit_batch([remote.url("/a")] * 30, scale=2)
    await worker.claimed.wait()
    cancelled = await batch.cancel()
    assert cancelled.counts["cancelled"] > 0
    ended = await batch.wait()
    assert (ended.status, ended.counts["cancelled"]) == ("cancelled", 30)
    waiting = next(s for s in await batch.sources() if s.job_id is None or s.error)
    assert waiting.state == "cancelled"


async def test_errors_have_their_families(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequest):
        await client.submit_batch([], scale=2)
    with pytest.raises(NotFound):
        await client.submitted_batch("none").state()
    with pytest.raises(TypeError):
        await client.submit_batch(["https://host.example/a"], scales=2)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="idempotency key"):
        await client.submit_batch(["https://host.example/a"], scale=2, idempotency_key="é")


def test_places_are_sent_and_nothing_that_is_not_given() -> None:
    sources: list[Address] = ["s3://in/a", Source("s3://in/b", result="s3://out/b", name="b")]
    upload = Order(sources, {"scale": 2.5, "format": "webp"}, "https://host.example/hook").call()
    assert upload.upload is not None
    assert json.loads(b"".join(upload.upload.pieces())) == {
        "sources": [
            {"image_url": "s3://in/a"},
            {"image_url": "s3://in/b", "name": "b", "result": "s3://out/b"},
        ],
        "options": {"scale": "2.5", "format": "webp"},
        "webhook_url": "https://host.example/hook",
    }
