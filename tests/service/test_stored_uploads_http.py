"""Pictures in a bucket of a real S3 store, over HTTP: uploads that callers write there themselves,
results that they fetch from there, and what the gateway says while the bucket is away."""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

from anysr_client import AsyncClient, Conflict
from jobs.keys import Keys
from jobs.outages import PICTURES_UNREACHABLE
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from service.settings import GatewaySettings
from tests.service.harness import RunningGateway, ScriptedWorker, Start, assert_problem, drawn
from tests.service.test_status_http import metrics_of
from tests.support.key_files import new_key
from tests.support.s3 import S3Server, s3_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("worker")

OpenQueue = Callable[[str, QueueSettings], RedisQueue]
BUCKET = "pictures"
NODE = shutil.which("node")
UPLOADING = Path(__file__).parents[1] / "clients" / "upload.mjs"
LIMIT = GatewaySettings().max_body_bytes


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A store with an empty bucket."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture
def in_bucket(s3: S3Server, queue_settings: QueueSettings) -> QueueSettings:
    """Settings of a queue with its pictures in the bucket."""
    return queue_settings.model_copy(update=s3.blob_settings(f"s3://{BUCKET}"))


@pytest.fixture
def queue(redis_url: str, in_bucket: QueueSettings, open_queue: OpenQueue) -> RedisQueue:
    """The queue of gateway and worker."""
    return open_queue(redis_url, in_bucket)


async def new_upload(
    served: RunningGateway, size: int, headers: dict[str, str] | None = None, **more: object
) -> dict[str, Any]:
    answer = await served.client.post("/uploads", json={"bytes": size, **more}, headers=headers)
    assert answer.status_code == 201, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


async def put(upload: dict[str, Any], picture: bytes) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.put(upload["url"], content=picture, headers=upload["headers"])


async def written(
    served: RunningGateway, picture: bytes, headers: dict[str, str] | None = None
) -> str:
    """The id of an upload with this picture."""
    upload = await new_upload(served, len(picture), headers)
    answer = await put(upload, picture)
    assert answer.status_code == 200, answer.text
    return str(upload["id"])


async def upscale(
    served: RunningGateway, upload: str, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    params = {"scale": 2, "upload": upload, **more}
    return await served.client.post("/upscale", params=params, headers=headers)


async def test_an_upload_becomes_a_picture(served: RunningGateway) -> None:
    picture = drawn(300, 200)
    answer = await upscale(served, await written(served, picture))
    assert answer.status_code == 200, answer.text
    assert answer.content == (await served.upscale(picture)).content


async def test_an_upload_becomes_a_job(served: RunningGateway) -> None:
    upload = await written(served, drawn())
    answer = await served.client.post("/jobs", data={"scale": "2", "upload": upload})
    assert answer.status_code == 202, answer.text


async def test_the_client_of_python_uploads(served: RunningGateway) -> None:
    picture = drawn(300, 200)
    async with AsyncClient(f"http://127.0.0.1:{served.port}") as client:
        made = await client.upscale(await client.upload(picture), scale=2)
        uploaded = await client.upload(picture)
        job = await client.submit(uploaded, scale=2)
        assert (await job.wait()).status == "succeeded"
        with pytest.raises(Conflict) as used:
            await client.submit(uploaded, scale=2)
    assert used.value.code == "upload_used"
    assert made.picture == (await served.upscale(picture)).content


@pytest.mark.skipif(NODE is None, reason="node is not installed")
async def test_the_client_of_javascript_uploads(served: RunningGateway, tmp_path: Path) -> None:
    picture, result = tmp_path / "picture.png", tmp_path / "result.png"
    picture.write_bytes(drawn(300, 200))
    server = f"http://127.0.0.1:{served.port}"
    command = (str(NODE), str(UPLOADING), server, str(picture), str(result))
    done = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    async with asyncio.timeout(120):
        output, _ = await done.communicate()
    assert output.decode().split() == ["succeeded", "upload_used"]
    assert result.read_bytes() == (await served.upscale(picture.read_bytes())).content


async def test_the_metrics_show_how_full_the_bucket_is(start: Start, queue: RedisQueue) -> None:
    async with start(snapshot_seconds=0.05) as served:
        before = await metrics_of(served)
        assert before["anysr_bucket_limit_bytes", "pictures"] == 10_240 << 20
        await new_upload(served, 1000)
        await new_upload(served, 234)

        async def counted() -> bool:
            now = await metrics_of(served)
            found = [
                now[f"anysr_bucket_{what}", "pictures"] - before[f"anysr_bucket_{what}", "pictures"]
                for what in ("objects", "used_bytes")
            ]
            return found == [2, 1234]

        await eventually(counted, "two uploads of 1234 bytes in the metrics")
    health = await queue.registry.health()
    assert health.bucket is not None
    assert health.bucket.limit_bytes == 10_240 << 20


async def test_a_url_takes_one_picture_of_its_size_and_kind(served: RunningGateway) -> None:
    picture = drawn()
    upload = await new_upload(served, len(picture), content_type="image/png")
    assert upload["headers"]["Content-Type"] == "image/png"
    larger = upload | {"headers": {**upload["headers"], "Content-Length": str(len(picture) + 1)}}
    assert (await put(larger, picture + b"0")).status_code == 403
    other = upload | {"headers": {**upload["headers"], "Content-Type": "text/html"}}
    assert (await put(other, picture)).status_code == 403
    assert (await put(upload, picture)).status_code == 200
    assert (await put(upload, picture)).status_code == 412
    assert (await upscale(served, upload["id"])).status_code == 200
    assert (await put(upload, picture)).status_code == 412  # not after its use either


async def test_an_upload_is_used_once(served: RunningGateway) -> None:
    upload = await written(served, drawn())
    refused = await upscale(served, upload, scale=99)
    assert_problem(refused, 422, "invalid_request")  # leaves it as it was
    assert (await upscale(served, upload)).status_code == 200
    assert_problem(await upscale(served, upload), 409, "upload_used")


async def test_the_same_request_again_gets_the_same_job(served: RunningGateway) -> None:
    upload = await written(served, drawn())
    key = {"Idempotency-Key": "a"}

    async def post(headers: dict[str, str]) -> httpx.Response:
        params = {"scale": "2", "upload": upload}
        return await served.client.post("/jobs", params=params, headers=headers)

    first, second = await post(key), await post(key)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert_problem(await post({"Idempotency-Key": "b"}), 409, "upload_used")
    assert_problem(await post({}), 409, "upload_used")


async def test_what_is_not_there_or_not_right_queues_nothing(
    served: RunningGateway, s3: S3Server, in_bucket: QueueSettings, worker: ScriptedWorker
) -> None:
    for unknown in ("0" * 32, "x", "../" * 10):
        assert_problem(await upscale(served, unknown), 404, "upload_not_found")
    empty = await new_upload(served, 10)
    assert_problem(await upscale(served, empty["id"]), 409, "upload_unfilled")
    text = await written(served, b"no picture at all")
    assert_problem(await upscale(served, text), 415, "unsupported_image")
    # As from a store that does not check what was signed.
    assert in_bucket.bucket is not None
    name = f"{in_bucket.bucket.prefix}/uploads/{empty['id']}"
    await obstore.put_async(s3.store(BUCKET), name, drawn())
    assert_problem(await upscale(served, empty["id"]), 413, "body_too_large")
    good = await written(served, drawn())
    both = await served.upscale(drawn(), scale=2, upload=good)
    assert_problem(both, 422, "invalid_request")
    twice = await upscale(served, good, image_url="https://images.example.com/a.png")
    assert_problem(twice, 422, "invalid_request")
    assert not worker.claims
    assert (await upscale(served, good)).status_code == 200


async def test_an_expired_upload_is_unknown(
    served: RunningGateway, raw_redis: Any, queue_settings: QueueSettings
) -> None:
    upload = await new_upload(served, 10)
    assert upload["valid_s"] == queue_settings.upload_seconds == 900
    assert "X-Amz-Expires=900&" in upload["url"]
    key = Keys(queue_settings.namespace).upload(upload["id"])
    assert 0 < await raw_redis.pttl(key) <= 900_000
    await raw_redis.pexpire(key, 1)
    await eventually(lambda: _is_unknown(served, upload["id"]), "the end of an upload")


async def _is_unknown(served: RunningGateway, upload: str) -> bool:
    answer = await upscale(served, upload, scale=99)  # is read only if the upload is known
    return "upload_not_found" in answer.text


async def test_an_order_that_is_wrong(served: RunningGateway) -> None:
    async def refused(status: int, code: str, **order: object) -> None:
        assert_problem(await served.client.post("/uploads", json=order), status, code)

    await refused(422, "invalid_request")
    await refused(422, "invalid_request", bytes=0)
    await refused(422, "invalid_request", bytes="9")
    await refused(422, "invalid_request", bytes=9, content_type="text/html")
    await refused(422, "invalid_request", bytes=9, content_type="image/png\r\nX: y")
    await refused(422, "invalid_request", bytes=9, name="a")
    await refused(413, "body_too_large", bytes=LIMIT + 1)
    huge = await served.client.post("/uploads", content=b" " * 5000)
    assert_problem(huge, 413, "body_too_large")


async def test_a_client_has_a_bounded_number_of_open_uploads(start: Start) -> None:
    async with start(open_uploads=2) as served:
        picture = drawn()
        first = await written(served, picture)
        await new_upload(served, 10)
        busy = await served.client.post("/uploads", json={"bytes": 10})
        assert_problem(busy, 429, "overloaded")
        assert (await upscale(served, first)).status_code == 200
        await new_upload(served, 10)


async def test_an_upload_is_its_own_clients_alone(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    shop, other = new_key(path, "shop"), new_key(path, "other")
    async with start(keys=path) as served:
        upload = await written(served, drawn(), shop)
        assert_problem(await upscale(served, upload, other), 404, "upload_not_found")
        assert_problem(await upscale(served, upload), 401, "unauthorized")
        assert (await upscale(served, upload, shop)).status_code == 200


async def test_a_result_is_fetched_from_the_bucket(served: RunningGateway) -> None:
    job = await served.submit()
    await served.gateway.queue.submissions.wait(job["id"], 30)
    whole = await served.client.get(job["links"]["result"])
    answer = await served.client.get(job["links"]["result"], params={"redirect": "true"})
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-anysr-model"] == whole.headers["x-anysr-model"]
    async with httpx.AsyncClient() as client:
        there = await client.get(answer.headers["location"])
    assert (there.status_code, there.content) == (200, whole.content)
    assert there.headers["content-type"] == "image/png"


async def test_a_setting_sends_all_to_the_bucket(start: Start) -> None:
    async with start(result_redirect=True) as served:
        job = await served.submit()
        waiting = served.gateway.queue.submissions.wait(job["id"], 30)
        await waiting
        assert (await served.client.get(job["links"]["result"])).status_code == 303
        here = await served.client.get(job["links"]["result"], params={"redirect": "false"})
        assert here.status_code == 200


async def test_no_redirect_leads_to_what_is_not_there(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    job, asked = await served.submit(), {"redirect": "true"}
    early = await served.client.get(job["links"]["result"], params=asked)
    assert_problem(early, 409, "job_not_finished")
    worker.go.set()
    view = await served.gateway.queue.submissions.wait(job["id"], 30)
    await served.gateway.queue.submissions.drop_results([view])
    late = await served.client.get(job["links"]["result"], params=asked)
    assert_problem(late, 410, "result_expired")
    odd = await served.client.get(job["links"]["result"], params={"redirect": "perhaps"})
    assert_problem(odd, 422, "invalid_request")


async def test_a_bucket_that_is_away_is_reported(
    start: Start, redis_url: str, in_bucket: QueueSettings, open_queue: OpenQueue
) -> None:
    away = in_bucket.model_copy(update={"blob_endpoint": "http://127.0.0.1:1"})
    async with start(other=open_queue(redis_url, away)) as served:

        async def not_ready() -> bool:
            return (await served.client.get("/health/ready")).status_code == 503

        await eventually(not_ready, "readiness that tells of the bucket")
        state = await served.client.get("/health/ready")
        assert assert_problem(state, 503, "not_ready")["detail"] == PICTURES_UNREACHABLE
        refused = await served.upscale()
        assert assert_problem(refused, 503, "not_ready")["detail"] == PICTURES_UNREACHABLE
        assert refused.headers["retry-after"]


async def test_uploads_need_a_bucket(
    start: Start, redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue
) -> None:
    async with start(other=open_queue(redis_url, queue_settings)) as served:
        for answer in (
            await served.client.post("/uploads", json={"bytes": 10}),
            await upscale(served, "0" * 32),
        ):
            assert "ANYSR_BLOB_URL" in assert_problem(answer, 403, "uploads_disabled")["detail"]
