"""POST /upscale over real HTTP: answers to valid requests, and failed runs."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import httpx
import pytest
from PIL import Image
from redis.asyncio import Redis

from jobs.errors import CorruptImage, WorkerLost
from jobs.job import JobStatus, MetadataChoice
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from models.strength import strength_of_quality
from tests.service.harness import (
    MODEL,
    NARROW_MS,
    RESAMPLING_MS,
    UNSERVED,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
    encoded,
)


def size_of(response: httpx.Response) -> tuple[int, int]:
    assert response.status_code == 200, response.text
    with Image.open(io.BytesIO(response.content)) as image:
        return image.size


async def test_raw_body(served: RunningGateway) -> None:
    response = await served.upscale(scale=2.37)
    assert size_of(response) == (47, 28)
    assert response.headers["content-type"] == "image/png"


async def test_multipart(served: RunningGateway) -> None:
    response = await served.client.post(
        "/upscale",
        data={"scale_h": "2", "scale_w": "3", "format": "webp", "quality": "80"},
        files={"image": ("a.png", drawn(), "image/png")},
    )
    assert size_of(response) == (60, 24)
    assert response.headers["content-type"] == "image/webp"
    assert response.headers["x-anysr-scale"] == "2x3"


async def test_every_header(served: RunningGateway, worker: ScriptedWorker) -> None:
    headers = (await served.upscale(scale=2, latency_budget_ms=9000)).headers
    assert headers["x-request-id"] == worker.claims[0].job.id
    assert headers["x-anysr-model"] == MODEL
    assert headers["x-anysr-width"] == "1"
    assert headers["x-anysr-scale"] == "2"
    assert headers["x-anysr-budget-ms"] == "9000.0"
    assert headers["x-anysr-predicted-ms"] == "102.0"
    assert 0 < float(headers["x-anysr-elapsed-ms"]) < 9000
    assert headers["x-anysr-deadline"] == "met"
    assert headers["x-anysr-expected-db"] == "32.10"
    assert headers["x-anysr-expected-db-range"] == "30.8-33.6"
    assert headers["x-anysr-strength"] == "0"
    assert headers["x-anysr-reason"] == "widest"
    names = re.findall(r"(\w+);dur=[0-9.]+", headers["server-timing"])
    assert names == ["upload", "queue", "decode", "network", "encode", "total"]


async def test_a_harmless_request_id_of_the_caller_is_echoed(served: RunningGateway) -> None:
    for given, echoed in (("abc-1_2.3", "abc-1_2.3"), ("a b", None), ("x" * 65, None)):
        response = await served.client.get("/health/live", headers={"X-Request-ID": given})
        assert response.headers.get("x-correlation-id") == echoed
        assert response.headers["x-request-id"] != given


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "avif"])
async def test_output_is_in_the_format_of_the_input(served: RunningGateway, name: str) -> None:
    response = await served.upscale(drawn(image_format=name), scale=1.5)
    assert response.headers["content-type"] == f"image/{name}"
    with Image.open(io.BytesIO(response.content)) as image:
        assert (image.format or "").lower() == name


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"width": 50}, (50, 30)),
        ({"height": 30}, (50, 30)),
        ({"width": 30, "height": 40}, (30, 40)),
        ({"scale": 1}, (20, 12)),
        ({"scale": 8}, (160, 96)),
    ],
)
async def test_sizes(served: RunningGateway, params: dict[str, Any], size: tuple[int, int]) -> None:
    assert size_of(await served.upscale(**params)) == size


async def test_the_job_carries_the_requests_parameters(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    await served.upscale(
        scale=2, anysr_width=0.5, on_miss="reject", quality=70, format="jpeg",
        latency_budget_ms=4000, model=MODEL, metadata="keep",
    )  # fmt: skip
    job = worker.claims[0].job
    assert job.metadata is MetadataChoice.KEEP
    assert (job.pinned_width, job.on_miss.value, job.quality) == (0.5, "reject", 70)
    assert (job.model, job.budget_ms, job.output_format.value) == (MODEL, 4000, "jpeg")
    assert job.cheapest_ms == pytest.approx(62)


async def test_strength_is_the_files_own_unless_given(served: RunningGateway) -> None:
    image = Image.linear_gradient("L").convert("RGB")
    strengths = []
    for quality in (30, 75):
        jpeg = encoded(image, "jpeg", quality=quality)
        for params in ({}, {"strength": "auto"}, {"strength": 0}, {"strength": 0.5}):
            answer = await served.upscale(jpeg, scale=2, **params)
            strengths.append(answer.headers["x-anysr-strength"])
    own = f"{strength_of_quality(75):.2g}"
    assert strengths == ["1", "1", "0", "0.5", own, own, "0", "0.5"]


async def test_the_cheapest_cost_depends_on_on_miss(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    await served.upscale(scale=2)
    await served.upscale(scale=2, on_miss="reject")
    floors = [claim.job.cheapest_ms for claim in worker.claims]
    assert floors == pytest.approx([RESAMPLING_MS, NARROW_MS])


async def test_a_budget_that_no_option_meets_is_refused(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    for on_miss, cheapest in (("degrade", RESAMPLING_MS), ("reject", NARROW_MS)):
        response = await served.upscale(scale=2, latency_budget_ms=5, on_miss=on_miss)
        members = assert_problem(response, 422, "budget_infeasible")
        enough = cheapest + 10  # with the gateway's overhead
        assert enough < members["smallest_feasible_ms"] <= 1.1 * enough + 1
        assert str(members["smallest_feasible_ms"]) in members["detail"]
    assert not worker.claims
    assert (await served.stats()).queued == 0


async def test_the_smallest_feasible_budget_is_admitted(served: RunningGateway) -> None:
    refused = await served.upscale(scale=2, latency_budget_ms=0.5)
    smallest = refused.json()["smallest_feasible_ms"]
    response = await served.upscale(scale=2, latency_budget_ms=smallest)
    assert response.status_code == 200


async def test_a_late_picture_is_delivered_as_missed(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    waiting = asyncio.create_task(served.upscale(scale=2, latency_budget_ms=100))
    await asyncio.sleep(0.15)
    worker.go.set()
    response = await waiting
    assert response.status_code == 200
    assert response.headers["x-anysr-deadline"] == "missed"
    assert float(response.headers["x-anysr-elapsed-ms"]) > 100


async def test_a_late_picture_with_reject_is_504(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    response = await served.upscale(scale=2, latency_budget_ms=100, on_miss="reject")
    assert_problem(response, 504, "deadline_exceeded")
    async with asyncio.timeout(2):
        await worker.cancelled.wait()


async def test_the_wait_for_a_late_picture_is_bounded_by_the_grace_time(
    start: Start, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    async with start(grace_ms=50) as served:
        response = await served.upscale(scale=2, latency_budget_ms=60)
        assert_problem(response, 504, "deadline_exceeded")
    async with asyncio.timeout(2):
        await worker.cancelled.wait()


@pytest.mark.parametrize(("failure", "status"), [(CorruptImage("torn"), 400), (WorkerLost(), 500)])
async def test_a_failed_job_is_answered_with_its_error(
    served: RunningGateway, worker: ScriptedWorker, failure: CorruptImage | WorkerLost, status: int
) -> None:
    worker.failure = failure
    members = assert_problem(await served.upscale(), status, failure.code)
    assert members["detail"] == failure.detail


async def test_cancelled_by_another_while_it_waits(
    served: RunningGateway, worker: ScriptedWorker, queue: RedisQueue
) -> None:
    worker.go.clear()
    waiting = asyncio.create_task(served.upscale())
    async with asyncio.timeout(2):
        await worker.claimed.wait()
    await queue.submissions.cancel(worker.claims[0].job.id)
    assert_problem(await waiting, 409, "job_cancelled")


async def test_a_queue_that_lost_the_job_asks_for_the_picture_again(
    start: Start, worker: ScriptedWorker, queue_settings: QueueSettings, raw_redis: Redis
) -> None:
    worker.go.clear()
    async with start(grace_ms=50) as served:
        waiting = asyncio.create_task(served.upscale(scale=2, latency_budget_ms=200))
        async with asyncio.timeout(2):
            await worker.claimed.wait()
        await raw_redis.delete(Keys(queue_settings.namespace).record(worker.claims[0].job.id))
        members = assert_problem(response := await waiting, 503, "not_ready")
        assert "again" in members["detail"]
        assert "retry-after" in response.headers


async def test_disconnect_cancels_the_job(
    served: RunningGateway, worker: ScriptedWorker, queue: RedisQueue
) -> None:
    worker.go.clear()
    picture = drawn()
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = "POST /upscale?scale=2 HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {len(picture)}\r\n\r\n"
    writer.write(head.encode() + picture)
    await writer.drain()
    async with asyncio.timeout(2):
        await worker.claimed.wait()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(2):
        await worker.cancelled.wait()
    view = await queue.submissions.view(worker.claims[0].job.id)
    assert view.status is JobStatus.CANCELLED


async def test_no_worker(start: Start) -> None:
    async with start() as served:
        members = assert_problem(response := await served.upscale(), 503, "not_ready")
        assert response.headers["retry-after"] == "2"
        assert members["retry_after_s"] == 2
        assert (await served.stats()).queued == 0


async def test_worker_that_is_not_warm(start: Start, queue: RedisQueue) -> None:
    await ScriptedWorker(queue).heartbeat(ready=False)
    async with start() as served:
        assert_problem(await served.upscale(), 503, "not_ready")


async def test_model_that_no_worker_serves(served: RunningGateway) -> None:
    members = assert_problem(await served.upscale(scale=2, model=UNSERVED), 503, "not_ready")
    assert UNSERVED in members["detail"]
