"""Idempotency-Key over real HTTP: one job for all requests with a key, on several gateways."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

import httpx
import pytest
from PIL import Image
from redis.asyncio import Redis
from starlette.datastructures import Headers

from jobs.errors import CorruptImage, InvalidRequest
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from service.idempotency import idempotency_key
from tests.service.harness import (
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
    encoded,
)
from tests.support.waiting import eventually

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


@pytest.fixture
def keys(queue_settings: QueueSettings) -> Keys:
    """The names in Redis of the fixture `queue`."""
    return Keys(queue_settings.namespace)


async def post(
    served: RunningGateway, path: str, key: str = KEY, picture: bytes = b"", **params: Any
) -> httpx.Response:
    return await served.client.post(
        path,
        params={"scale": 2} | params,
        content=picture or drawn(),
        headers={"Content-Type": "image/png", "Idempotency-Key": key},
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (KEY, KEY),
        (f'"{KEY}"', KEY),
        (f'  "{KEY}" ', KEY),
        ('"a b"', "a b"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ('"k";version=2', "k"),
        ("job/7:retry=1", "job/7:retry=1"),
        ('"' + "k" * 255 + '"', "k" * 255),
    ],
)
def test_a_key_is_read_quoted_or_bare(text: str, key: str) -> None:
    assert idempotency_key(Headers({"Idempotency-Key": text})) == key


@pytest.mark.parametrize(
    "text",
    ["", '""', "k" * 256, '"open', 'a"b', "a b", "a, b", r'"a\b"', "caf\xe9", '"\x7f"', "a;b"],
)
def test_a_key_that_is_no_string_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Idempotency-Key must be"):
        idempotency_key(Headers({"Idempotency-Key": text}))


def test_a_key_is_given_once() -> None:
    twice = Headers(raw=[(b"idempotency-key", b"a"), (b"idempotency-key", b"a")])
    with pytest.raises(InvalidRequest):
        idempotency_key(twice)


async def test_a_repeated_submission_gets_the_same_job(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    first = await post(served, "/jobs")
    again = await post(served, "/jobs", f'"{KEY}"')
    assert (first.status_code, again.status_code) == (202, 202)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"] == again.headers["x-request-id"]
    assert again.headers["location"] == first.headers["location"]
    await served.gateway.queue.submissions.wait(first.json()["id"], 5)
    ended = await post(served, "/jobs")
    assert (ended.json()["id"], ended.json()["status"]) == (first.json()["id"], "succeeded")
    assert len(worker.claims) == 1


async def test_other_options_or_another_picture_are_refused_and_nothing_is_queued(
    served: RunningGateway, worker: ScriptedWorker, raw_redis: Redis, keys: Keys
) -> None:
    worker.go.clear()
    first = (await post(served, "/jobs")).json()
    async with asyncio.timeout(5):
        await worker.claimed.wait()
    for other in (
        await post(served, "/jobs", scale=3),
        await post(served, "/jobs", picture=drawn(21, 12)),
        await post(served, "/upscale"),
    ):
        assert_problem(other, 422, "idempotency_key_reused")
    assert (await served.stats()).queued == 0
    assert await raw_redis.keys(keys.records + "*") == [keys.record(first["id"]).encode()]
    assert await raw_redis.keys(keys.payloads + "*") == [keys.payload(first["id"]).encode()]


async def test_a_malformed_key_is_refused_before_anything_is_queued(served: RunningGateway) -> None:
    assert_problem(await post(served, "/jobs", "a b"), 422, "invalid_request")
    assert (await served.stats()).queued == 0


async def test_two_gateways_make_one_job_of_requests_at_the_same_time(
    start: Start, worker: ScriptedWorker, raw_redis: Redis, keys: Keys
) -> None:
    worker.go.clear()
    async with start() as one, start() as other:
        answers = await asyncio.gather(
            *(post(gateway, "/jobs") for gateway in (one, other) for _ in range(8))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(await raw_redis.keys(keys.records + "*")) == 1
    assert len(await raw_redis.keys(keys.payloads + "*")) == 1


async def test_a_repeated_upscale_gets_the_same_picture(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    first, again = await post(served, "/upscale"), await post(served, "/upscale")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert again.headers["x-request-id"] == first.headers["x-request-id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len(worker.claims) == 1
    metrics = (await served.client.get("/metrics")).text
    assert 'anysr_jobs_total{outcome="succeeded",reason="widest"} 1.0' in metrics
    assert 'anysr_pixels_total{direction="in"} 240.0' in metrics


async def test_a_repeated_upscale_joins_the_job_that_runs(
    served: RunningGateway, worker: ScriptedWorker, queue: RedisQueue
) -> None:
    def waiting() -> int:
        subscriptions = queue.submissions._hub._subscriptions
        return len(subscriptions.get(worker.claims[0].job.id, ()))

    worker.go.clear()
    async with asyncio.TaskGroup() as requests:
        first = requests.create_task(post(served, "/upscale"))
        async with asyncio.timeout(5):
            await worker.claimed.wait()
        again = requests.create_task(post(served, "/upscale"))
        await eventually(lambda: waiting() == 2, "two requests that wait for one job")
        worker.go.set()
    assert first.result().content == again.result().content
    assert again.result().headers["idempotent-replayed"] == "true"
    assert len(worker.claims) == 1


async def test_a_job_with_a_key_outlives_its_caller(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    request = asyncio.create_task(post(served, "/upscale"))
    async with asyncio.timeout(5):
        await worker.claimed.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    again = asyncio.create_task(post(served, "/upscale"))
    worker.go.set()
    answer = await again
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
    assert not worker.cancelled.is_set()
    assert len(worker.claims) == 1


async def test_a_failed_job_is_that_of_its_key(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    worker.failure = CorruptImage("torn")
    assert_problem(await post(served, "/upscale"), 400, "corrupt_image")
    worker.failure = None
    assert_problem(await post(served, "/upscale"), 400, "corrupt_image")
    assert len(worker.claims) == 1
    assert (await post(served, "/upscale", "another")).status_code == 200


async def test_a_repeated_upscale_without_its_picture_is_410(
    served: RunningGateway, raw_redis: Redis, keys: Keys
) -> None:
    job_id = (await post(served, "/upscale")).headers["x-request-id"]
    (result,) = await raw_redis.keys(f"{keys.tag}:result:{job_id}:*")
    await raw_redis.delete(result)
    assert_problem(await post(served, "/upscale"), 410, "result_expired")


async def test_a_refused_request_leaves_its_key_free(served: RunningGateway) -> None:
    refused = await post(served, "/jobs", latency_budget_ms=1)
    assert_problem(refused, 422, "budget_infeasible")
    assert (await post(served, "/jobs")).status_code == 202


async def test_a_key_finds_its_job_while_no_worker_is_ready(
    served: RunningGateway, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await post(served, "/jobs")
    monkeypatch.setattr(worker, "heartbeat", partial(worker.heartbeat, ready=False))
    await eventually(lambda: not served.gateway.snapshots.current.ready, "no ready worker")
    assert (await post(served, "/jobs")).json()["id"] == first.json()["id"]
    assert_problem(await post(served, "/jobs", "new"), 503, "not_ready")


async def test_a_key_is_kept_as_long_as_its_job(
    served: RunningGateway, raw_redis: Redis, keys: Keys, queue: RedisQueue
) -> None:
    job_id = (await post(served, "/jobs")).json()["id"]
    (name,) = await raw_redis.keys(keys.idempotency_key("*"))
    await queue.submissions.wait(job_id, 5)
    left = await raw_redis.ttl(name), await raw_redis.ttl(keys.record(job_id))
    assert 0 < left[0] <= left[1] <= QueueSettings().job_ttl_seconds
    await raw_redis.delete(keys.record(job_id))  # as it expires
    new = await post(served, "/jobs", scale=3)
    assert new.status_code == 202
    assert new.json()["id"] != job_id


@pytest.mark.parametrize("size", [(20, 12), (500, 500)])
async def test_keys_of_large_pictures_as_of_small_ones(
    served: RunningGateway, size: tuple[int, int]
) -> None:
    width, height = size
    noise = Image.frombytes("RGB", size, os.urandom(3 * width * height))
    picture = encoded(noise)
    first = await post(served, "/jobs", picture=picture)
    again = await post(served, "/jobs", picture=picture)
    assert first.json()["id"] == again.json()["id"]
