"""Results: bytes in flight are bounded, and none stays where nobody fetches it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from starlette.types import Message

from jobs.embedded_redis import embedded_redis
from jobs.errors import NotReady
from jobs.job import Job, JobView
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from service import main
from service.connection_bounds import ConnectionBounds
from service.result_room import BYTES_PER_PIXEL, ResultRoom
from service.sliced_response import SLICE_BYTES, SlicedResponse
from tests.service.gateway_process import MEBIBYTE, GatewayProcess, gateway_process
from tests.service.harness import (
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
    run_facts,
)

RESULT_MIB = 20
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
MakeJob = Callable[..., Job]


async def finished_job(queue: RedisQueue, job: Job, picture: bytes) -> JobView:
    """Return a job that a worker has ended with this picture."""
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 1)
    assert claim is not None
    await queue.leases.complete(claim, run_facts(job), picture)
    return await queue.submissions.view(job.id)


async def ended_job(served: RunningGateway) -> dict[str, Any]:
    """Return a job of POST /jobs that has ended."""
    job = await served.submit()
    await served.gateway.queue.submissions.wait(job["id"], 5)
    return job


async def unread(port: int, job_id: str) -> Streams:
    """Request a result, and read none of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(f"GET /jobs/{job_id}/result HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


def large_job(make_job: MakeJob, pixels: int = 12_000_000) -> Job:
    return make_job(id=uuid.uuid4().hex, output_width=pixels // 1000, output_height=1000)


async def left_in_redis(raw_redis: Redis, job_id: str) -> int:
    """Return the number of pictures of a job that Redis has."""
    return len([name async for name in raw_redis.scan_iter(match=f"*result:{job_id}*")])


async def gone_from_redis(raw_redis: Redis, job_id: str) -> None:
    async with asyncio.timeout(5):
        while await left_in_redis(raw_redis, job_id):  # noqa: ASYNC110  another process's state
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def with_unread_results(
    queue_settings: QueueSettings, make_job: MakeJob, callers: int, **settings: Any
) -> AsyncIterator[tuple[GatewayProcess, list[Streams]]]:
    with embedded_redis(memory_mb=500) as url:
        queue = RedisQueue.connect(url, queue_settings)
        view = await finished_job(queue, large_job(make_job), bytes(RESULT_MIB * MEBIBYTE))
        await queue.close()
        with gateway_process(url, queue_settings.namespace, **settings) as gateway:
            streams = [await unread(gateway.port, view.job.id) for _ in range(callers)]
            try:
                yield gateway, streams
            finally:
                for _, writer in streams:
                    writer.transport.abort()


async def settled_mib(gateway: GatewayProcess) -> float:
    """Return the resident memory, once it has not changed for a while."""
    before, now = -1.0, gateway.resident_mib()
    while abs(now - before) > 0.5:
        await asyncio.sleep(0.7)
        before, now = now, gateway.resident_mib()
    return now


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory")
async def test_callers_who_do_not_read_hold_no_more_than_the_bound(
    queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    """16 callers want 320 MiB; the gateway holds 60, each once, and lets go of them."""
    bound = {"max_result_bytes_in_flight": 64 * MEBIBYTE}
    async with with_unread_results(queue_settings, make_job, 16, **bound) as (gateway, streams):
        start = gateway.start_mib
        async with asyncio.timeout(30):
            while gateway.resident_mib() - start < 2 * RESULT_MIB:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        held = await settled_mib(gateway) - start
        assert 2 * RESULT_MIB < held < 100
        assert gateway.peak_mib() - start < 160
        for _, writer in streams:
            writer.transport.abort()
        async with asyncio.timeout(30):
            while gateway.resident_mib() - start > 25:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_results_beyond_the_bound_are_sent_when_others_have_gone(
    start: Start, queue: RedisQueue, make_job: MakeJob
) -> None:
    picture = bytes(RESULT_MIB * MEBIBYTE)
    async with start(max_result_bytes_in_flight=len(picture)) as served, asyncio.timeout(30):
        view = await finished_job(queue, large_job(make_job), picture)
        held = await unread(served.port, view.job.id)
        await has_bytes(served.gateway.room, len(picture))
        waiting = [
            asyncio.create_task(served.client.get(f"/jobs/{view.job.id}/result", timeout=30))
            for _ in range(3)
        ]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in waiting)
        assert served.gateway.room.held == len(picture)
        held[1].transport.abort()
        for response in await asyncio.gather(*waiting):
            assert (response.status_code, len(response.content)) == (200, len(picture))
        await has_bytes(served.gateway.room, 0)


async def has_bytes(room: ResultRoom, size: int) -> None:
    while room.held != size:  # noqa: ASYNC110  changes with the requests
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("route", ["/jobs", "/upscale"])
@pytest.mark.usefixtures("worker")
async def test_a_result_that_gets_no_room_is_503(
    start: Start, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    bounds = replace(ConnectionBounds(), write_seconds=1.0)
    monkeypatch.setattr(main, "ConnectionBounds", lambda: bounds)
    async with start(max_result_bytes_in_flight=100) as served:
        holder = served.gateway.room.share(large_job(make_job))
        await holder.take(100)
        if route == "/jobs":
            url = (await ended_job(served))["links"]["result"]
            response = await served.client.get(url)
        else:
            response = await served.upscale()
            url = f"/jobs/{response.headers['x-request-id']}/result"
        members = assert_problem(response, 503, "not_ready")
        assert response.headers["retry-after"] == "5"
        assert "/jobs/{id}/result" in members["detail"]
        holder.release()
        assert (await served.client.get(url)).status_code == 200
        assert served.gateway.room.held == 0


async def test_an_answer_gives_its_room_back(served: RunningGateway) -> None:
    for _ in range(3):
        assert (await served.upscale()).status_code == 200
    job = await ended_job(served)
    assert (await served.client.get(job["links"]["result"])).status_code == 200
    async with asyncio.timeout(2):
        await has_bytes(served.gateway.room, 0)


async def test_room_is_handed_out_in_order_and_a_large_result_gets_it_alone(
    make_job: MakeJob,
) -> None:
    room = ResultRoom(100, 5.0)
    first, large, last = (room.share(large_job(make_job)) for _ in range(3))
    await first.take(60)
    waiting = [asyncio.create_task(share.take(size)) for share, size in ((large, 500), (last, 10))]
    await asyncio.sleep(0)
    assert (room.held, large.granted.is_set(), last.granted.is_set()) == (60, False, False)
    first.release()
    await waiting[0]
    assert (room.held, last.granted.is_set()) == (500, False)
    large.settle(80)
    await waiting[1]
    assert room.held == 90
    for share in (large, last, large):
        share.release()
    assert room.held == 0


async def test_small_results_have_room_beside_large_ones(make_job: MakeJob) -> None:
    room = ResultRoom(640, 0.05)
    large, waiting, *small = (room.share(large_job(make_job)) for _ in range(11))
    await large.take(640)
    behind = asyncio.create_task(waiting.take(11))
    await asyncio.sleep(0)
    for share in small[:8]:
        await share.take(10)
    assert room.held == 640 + 80
    with pytest.raises(NotReady):  # the reserve is full as well
        await small[8].take(10)
    with pytest.raises(NotReady):
        await behind
    for share in (large, waiting, *small):
        share.release()
    assert room.held == 0


async def test_a_share_that_no_longer_waits_gets_nothing(make_job: MakeJob) -> None:
    room = ResultRoom(100, 0.05)
    first, late, cancelled = (room.share(large_job(make_job)) for _ in range(3))
    await first.take(100)
    with pytest.raises(NotReady):
        await late.take(2)
    late.release()
    waiting = asyncio.create_task(cancelled.take(2))
    await asyncio.sleep(0)
    waiting.cancel()
    first.release()
    await asyncio.gather(waiting, return_exceptions=True)
    cancelled.release()
    assert room.held == 0
    assert not cancelled.take_most()


async def test_an_estimate_is_taken_at_once_or_not_at_all(make_job: MakeJob) -> None:
    job = large_job(make_job, 1_000_000)
    room = ResultRoom(BYTES_PER_PIXEL * 1_000_000 + 5, 1.0)
    first, second = room.share(job), room.share(job)
    assert first.take_most()
    assert first.take_most()
    assert not second.take_most()
    first.settle(5)
    assert second.take_most()
    assert room.held == BYTES_PER_PIXEL * 1_000_000 + 5


async def test_an_altered_result_is_not_sent(served: RunningGateway, raw_redis: Redis) -> None:
    job = await ended_job(served)
    (name,) = await raw_redis.keys(f"*:result:{job['id']}:*")
    await raw_redis.setrange(name, 40, b"other")
    result = await served.client.get(f"/jobs/{job['id']}/result")
    assert assert_problem(result, 500, "data_loss")["lost"] == "result"


async def test_an_altered_source_ends_its_job(
    served: RunningGateway, worker: ScriptedWorker, raw_redis: Redis
) -> None:
    worker.go.clear()
    running = await served.submit()
    await worker.claimed.wait()
    waiting = await served.submit()
    (name,) = await raw_redis.keys(f"*:payload:{waiting['id']}")
    await raw_redis.setrange(name, 40, b"other")
    worker.go.set()
    for job in (running, waiting):
        await served.gateway.queue.submissions.wait(job["id"], 5)
    status = (await served.client.get(f"/jobs/{waiting['id']}")).json()
    assert (status["status"], status["error"]["code"]) == ("failed", "data_loss")
    result = await served.client.get(f"/jobs/{waiting['id']}/result")
    assert assert_problem(result, 500, "data_loss")["lost"] == "source"


async def test_an_answered_picture_is_dropped_and_its_record_stays(
    served: RunningGateway, raw_redis: Redis
) -> None:
    response = await served.upscale()
    assert response.status_code == 200
    job_id = response.headers["x-request-id"]
    await gone_from_redis(raw_redis, job_id)
    result = await served.client.get(f"/jobs/{job_id}/result")
    assert_problem(result, 410, "result_expired")
    job = (await served.client.get(f"/jobs/{job_id}")).json()
    assert (job["status"], job["error"]) == ("succeeded", None)


async def test_the_result_of_a_job_stays(served: RunningGateway, raw_redis: Redis) -> None:
    job = await ended_job(served)
    for _ in range(2):
        assert (await served.client.get(job["links"]["result"])).status_code == 200
        await asyncio.sleep(0.1)
    assert await left_in_redis(raw_redis, job["id"]) == 1


async def test_a_picture_whose_caller_left_during_the_answer_stays(
    served: RunningGateway, worker: ScriptedWorker, raw_redis: Redis
) -> None:
    picture = drawn(1500, 1500)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    head = "POST /upscale?scale=1&format=png HTTP/1.1\r\nHost: localhost\r\n"
    # Larger than what the sockets hold.
    worker.picture = bytes(20 * MEBIBYTE)
    writer.write(f"{head}Content-Length: {len(picture)}\r\n\r\n".encode() + picture)
    await writer.drain()
    async with asyncio.timeout(10):
        await has_bytes(served.gateway.room, 20 * MEBIBYTE)
        job_id = worker.claims[0].job.id
        await asyncio.sleep(0.2)
        assert await left_in_redis(raw_redis, job_id) == 1
        writer.transport.abort()
        await has_bytes(served.gateway.room, 0)
    await asyncio.sleep(0.1)
    result = await served.client.get(f"/jobs/{job_id}/result")
    assert (result.status_code, len(result.content)) == (200, 20 * MEBIBYTE)
    del reader


async def test_no_more_than_a_slice_is_written_before_the_caller_has_read_it() -> None:
    """A caller who leaves during the second slice gets no third one."""
    written: list[int] = []
    left = asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        written.append(len(message.get("body", b"")))
        if len(written) == 3:
            left.set()
        await asyncio.sleep(0)

    ends: list[str] = []
    response = SlicedResponse(
        bytes(10 << 20), {}, "image/png", lambda: ends.append("sent"), lambda: ends.append("end")
    )
    await response({}, receive, send)
    assert written[:3] == [0, 256 << 10, 256 << 10]
    assert len(written) <= 4  # what was under way
    assert ends == ["end"]


@pytest.mark.parametrize("size", [1, SLICE_BYTES, SLICE_BYTES + 1, 3 * SLICE_BYTES])
async def test_slices_make_up_the_whole(
    start: Start, queue: RedisQueue, make_job: MakeJob, size: int
) -> None:
    picture = bytes(index % 251 for index in range(size))
    async with start() as served:
        view = await finished_job(queue, large_job(make_job, 1000), picture)
        response = await served.client.get(f"/jobs/{view.job.id}/result")
        assert response.content == picture
        assert response.headers["content-length"] == str(size)
        assert "transfer-encoding" not in response.headers
