"""Jobs over real HTTP: life cycle, events, results, cancellation."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from redis.asyncio import Redis

from jobs.errors import CorruptImage
from jobs.job import JobStatus
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.service.harness import (
    MODEL,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
)


async def ended(served: RunningGateway, job_id: str) -> dict[str, Any]:
    await served.gateway.queue.submissions.wait(job_id, 5)
    response = await served.client.get(f"/jobs/{job_id}")
    assert response.status_code == 200, response.text
    job: dict[str, Any] = response.json()
    return job


async def test_life_of_a_job(served: RunningGateway, worker: ScriptedWorker) -> None:
    worker.go.clear()
    response = await served.client.post(
        "/jobs",
        params={"scale": 3, "strength": 0.5},
        content=drawn(),
        headers={"Content-Type": "image/png"},
    )
    assert response.status_code == 202
    job = response.json()
    here = f"/jobs/{job['id']}"
    assert response.headers["location"] == here
    assert response.headers["x-request-id"] == job["id"]
    assert job["links"] == {"self": here, "result": f"{here}/result", "events": f"{here}/events"}
    assert (job["output_width"], job["output_height"]) == (60, 36)
    assert job["deadline_ms"] - job["submitted_ms"] == pytest.approx(60_000, abs=500)
    assert (job["finished_ms"], job["run"], job["error"]) == (None, None, None)

    async with asyncio.timeout(2):
        await worker.claimed.wait()
    assert (await served.client.get(here)).json()["status"] == "running"
    early = await served.client.get(f"{here}/result")
    assert_problem(early, 409, "job_not_finished")

    worker.go.set()
    job = await ended(served, job["id"])
    assert (job["status"], job["progress"]) == ("succeeded", 1)
    assert job["run"]["model"] == MODEL
    assert job["run"]["reason"] == "widest"
    assert job["run"]["strength"] == 0.5
    assert job["finished_ms"] >= job["submitted_ms"]

    result = await served.client.get(f"{here}/result")
    assert result.status_code == 200
    assert result.headers["content-type"] == "image/png"
    assert result.headers["x-request-id"] == job["id"]
    assert result.headers["x-anysr-deadline"] == "met"
    assert 0 < float(result.headers["x-anysr-elapsed-ms"]) < 60_000
    assert "upload" not in result.headers["server-timing"]


async def test_multipart_job(served: RunningGateway) -> None:
    response = await served.client.post(
        "/jobs", data={"width": "40"}, files={"image": ("a.png", drawn())}
    )
    assert response.status_code == 202
    assert (await ended(served, response.json()["id"]))["status"] == "succeeded"


async def test_failed_job(served: RunningGateway, worker: ScriptedWorker) -> None:
    worker.failure = CorruptImage("torn", at_byte=12)
    job = await ended(served, (await served.submit())["id"])
    assert job["status"] == "failed"
    error = job["error"]
    assert (error["code"], error["status"], error["detail"]) == ("corrupt_image", 400, "torn")
    assert (error["request_id"], error["at_byte"]) == (job["id"], 12)
    result = await served.client.get(job["links"]["result"])
    assert assert_problem(result, 400, "corrupt_image")["detail"] == "torn"


async def test_a_late_job_with_reject_fails_without_a_run(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    await served.submit()
    async with asyncio.timeout(2):
        await worker.claimed.wait()
    # Long enough that the job is admitted on a machine that stalls for tenths of a second.
    late = await served.submit(scale=2, on_miss="reject", latency_budget_ms=800)
    await asyncio.sleep(0.85)
    worker.go.set()
    job = await ended(served, late["id"])
    assert job["error"]["code"] == "deadline_exceeded"
    assert_problem(await served.client.get(late["links"]["result"]), 504, "deadline_exceeded")


async def test_cancel(served: RunningGateway, worker: ScriptedWorker) -> None:
    worker.go.clear()
    running = await served.submit()
    async with asyncio.timeout(2):
        await worker.claimed.wait()
    queued = await served.submit()
    for job in (queued, running):
        response = await served.client.delete(job["links"]["self"])
        assert response.status_code == 200
        assert response.json()["status"] == "cancelled"
        assert response.json()["error"]["code"] == "job_cancelled"
        assert_problem(await served.client.get(job["links"]["result"]), 409, "job_cancelled")
    async with asyncio.timeout(2):
        await worker.cancelled.wait()
    assert (await served.stats()).queued == 0


async def test_cancel_after_the_end_changes_nothing(served: RunningGateway) -> None:
    job = await ended(served, (await served.submit())["id"])
    response = await served.client.delete(job["links"]["self"])
    assert response.json()["status"] == "succeeded"
    assert (await served.client.get(job["links"]["result"])).status_code == 200


@pytest.mark.parametrize("job_id", ["0" * 32, "x", "..%2f..", "a" * 5000])
@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("GET", "/result"), ("GET", "/events"), ("DELETE", "")]
)
async def test_unknown_job(served: RunningGateway, job_id: str, method: str, rest: str) -> None:
    response = await served.client.request(method, f"/jobs/{job_id}{rest}")
    assert response.status_code == 404
    if "%2f" not in job_id:
        assert_problem(response, 404, "job_not_found")


async def read_events(served: RunningGateway, job: dict[str, Any]) -> list[dict[str, Any]]:
    seen = []
    async with served.client.stream("GET", job["links"]["events"]) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        kind = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                assert kind == "job"
                seen.append(json.loads(line.removeprefix("data: ")))
    return seen


async def test_events_to_the_end(served: RunningGateway, worker: ScriptedWorker) -> None:
    worker.go.clear()
    job = await served.submit()
    reading = asyncio.create_task(read_events(served, job))
    async with asyncio.timeout(2):
        await worker.claimed.wait()
    await asyncio.sleep(0.1)
    worker.go.set()
    async with asyncio.timeout(5):
        seen = await reading
    progress = [event["progress"] for event in seen]
    assert progress == sorted(progress)
    assert 0 < progress[-2] < 1
    assert seen[-1]["status"] == "succeeded"
    assert seen[-1] == (await served.client.get(job["links"]["self"])).json()


async def test_events_of_an_ended_job(served: RunningGateway) -> None:
    job = await ended(served, (await served.submit())["id"])
    assert await read_events(served, job) == [job]


async def test_events_end_when_the_gateway_stops(start: Start, worker: ScriptedWorker) -> None:
    worker.go.clear()
    async with start() as served:
        job = await served.submit()
        async with served.client.stream("GET", job["links"]["events"]) as response:
            lines = response.aiter_lines()
            assert await anext(lines) == "event: job"  # it is followed: not ended before it began
            served.gateway.closing.set()
            async with asyncio.timeout(2):
                data = [line async for line in lines if line.startswith("data:")]
    assert json.loads(data[-1].removeprefix("data:"))["status"] in ("queued", "running")


@pytest.mark.usefixtures("worker")
async def test_result_expires(start: Start, raw_redis: Redis) -> None:
    async with start() as served:
        job = await ended(served, (await served.submit())["id"])
        names = [name async for name in raw_redis.scan_iter(match=f"*{job['id']}*")]
        assert names
        await raw_redis.unlink(*names)
        for rest in ("", "/result"):
            assert_problem(
                await served.client.get(job["links"]["self"] + rest), 404, "job_not_found"
            )


class TestFullQueue:
    """A queue that holds one job."""

    @pytest.fixture
    def queue_settings(self) -> QueueSettings:
        return QueueSettings(namespace=f"test-{uuid.uuid4().hex}", queue_limit=1)

    async def test_429_with_retry_after(
        self, served: RunningGateway, worker: ScriptedWorker
    ) -> None:
        worker.go.clear()
        await served.submit()
        async with asyncio.timeout(2):
            await worker.claimed.wait()
        responses = [await served.post_job() for _ in range(3)]
        refused = [response for response in responses if response.status_code != 202]
        assert refused
        for response in refused:
            members = assert_problem(response, 429, "overloaded")
            assert int(response.headers["retry-after"]) >= members["retry_after_s"] >= 1


async def test_queue_that_cannot_be_reached(start: Start, queue: RedisQueue) -> None:
    await ScriptedWorker(queue).heartbeat()
    async with start(snapshot_seconds=60) as served:
        broken = RedisQueue.connect("unix:///nowhere/redis.sock", QueueSettings())
        object.__setattr__(served.gateway, "queue", broken)
        response = await served.client.get(f"/jobs/{uuid.uuid4().hex}")
        assert_problem(response, 503, "not_ready")
        assert response.headers["retry-after"] == "2"
        await broken.close()


async def test_the_end_of_a_job_is_counted_without_a_waiting_request(
    served: RunningGateway,
) -> None:
    job = await ended(served, (await served.submit())["id"])
    assert job["status"] == JobStatus.SUCCEEDED
    await asyncio.sleep(0.05)
    text = (await served.client.get("/metrics")).text
    assert 'anysr_jobs_total{outcome="succeeded",reason="widest"} 1.0' in text
