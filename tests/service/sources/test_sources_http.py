"""Pictures that the gateway fetches: from URLs and buckets into the same queue as uploads, within
the same bounds."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
from PIL import Image

from jobs.errors import SourceChanged
from service import body_bounds
from service.main import build_outbound, build_sources
from service.metrics import GatewayMetrics
from service.settings import GatewaySettings
from service.sources.stores import store_client
from tests.service.harness import RunningGateway, ScriptedWorker, Start, assert_problem, drawn
from tests.support.remote import Received, Remote, hang, head, remote_server
from tests.support.s3 import (
    POWERLESS_KEY,
    POWERLESS_SECRET,
    S3Server,
    buckets_file,
    s3_server,
)
from tests.support.waiting import eventually


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    async with remote_server() as remote:
        remote.serves("/photo", drawn(), Content_Type="text/html")
        yield remote


def fetching(remote: Remote, **more: Any) -> dict[str, Any]:
    """Settings of a gateway that may fetch from a remote."""
    return {
        "sources": ("127.0.0.1", "localhost"),
        "outbound_allow_private": ("127.0.0.0/8", "::1"),
        "outbound_ports": (remote.port,),
    } | more


@pytest.fixture
async def served(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> AsyncIterator[RunningGateway]:
    async with start(**fetching(remote)) as served:
        assert worker.go.is_set()
        yield served


async def upscaled(
    served: RunningGateway, source: str, route: str = "/upscale", **params: Any
) -> httpx.Response:
    """POST without a body, with the address of a picture in the query."""
    query: dict[str, Any] = {"image_url": source, "scale": 2} | params
    return await served.client.post(route, params=query, timeout=60)


def size_of(response: httpx.Response) -> tuple[int, int]:
    assert response.status_code == 200, response.text
    with Image.open(io.BytesIO(response.content)) as image:
        return image.size


async def assert_refused(
    served: RunningGateway, source: str, status: int, code: str
) -> dict[str, Any]:
    """Both routes refuse the address, and nothing is in the queue."""
    members = assert_problem(await upscaled(served, source, "/jobs"), status, code)
    assert_problem(await upscaled(served, source), status, code)
    stats = await served.stats()
    assert (stats.queued, stats.running) == (0, 0)
    return members


async def test_a_picture_by_its_url(served: RunningGateway, remote: Remote) -> None:
    """Whatever its content type says: the file's own header decides."""
    response = await upscaled(served, remote.url("/photo"))
    assert size_of(response) == (40, 24)
    job = (await upscaled(served, remote.url("/photo?size=l&a=b"), "/jobs")).json()
    finished = await eventually_finished(served, job["id"])
    assert finished["output_width"] == 40
    assert remote.received[-1].path == "/photo?size=l&a=b"
    assert remote.received[-1].headers["accept-encoding"] == "identity"


async def test_fetches_are_in_the_metrics(served: RunningGateway, remote: Remote) -> None:
    size_of(await upscaled(served, remote.url("/photo")))
    await upscaled(served, remote.url("/none"))
    await upscaled(served, "s3://unknown/a.png")
    lines = set((await served.client.get("/metrics")).text.splitlines())
    assert lines >= {
        'anysr_fetches_total{outcome="done",source="http"} 1.0',
        'anysr_fetches_total{outcome="remote_refused",source="http"} 1.0',
        'anysr_fetches_total{outcome="bucket_not_allowed",source="s3"} 1.0',
        'anysr_fetch_duration_seconds_count{source="http"} 2.0',
        f'anysr_fetched_bytes_total{{source="http"}} {float(len(drawn()))}',
    }


async def eventually_finished(served: RunningGateway, job_id: str) -> dict[str, Any]:
    async def job() -> dict[str, Any]:
        answer: dict[str, Any] = (await served.client.get(f"/jobs/{job_id}")).json()
        return answer

    async def ended() -> bool:
        return bool((await job())["status"] == "succeeded")

    await eventually(ended, "the end of the job")
    return await job()


async def test_the_url_in_both_kinds_of_form(served: RunningGateway, remote: Remote) -> None:
    fields = {"image_url": remote.url("/photo?" + "long" * 1000), "scale": "2"}
    assert size_of(await served.client.post("/upscale", data=fields)) == (40, 24)
    parts = {name: (None, value) for name, value in fields.items()}
    assert size_of(await served.client.post("/upscale", files=parts)) == (40, 24)


async def test_parameters_that_contradict(served: RunningGateway, remote: Remote) -> None:
    url = remote.url("/photo")
    both = await served.client.post(
        "/upscale",
        params={"image_url": url, "scale": 2},
        content=drawn(),
        headers={"Content-Type": "image/png"},
    )
    assert "not both" in assert_problem(both, 422, "invalid_request")["detail"]
    with_file = await served.client.post(
        "/upscale", data={"image_url": url, "scale": 2}, files={"image": ("a.png", drawn())}
    )
    assert_problem(with_file, 422, "invalid_request")
    twice = await served.client.post(
        "/upscale", params={"image_url": url, "scale": 2}, data={"image_url": url}
    )
    assert_problem(twice, 422, "invalid_request")
    assert_problem(await upscaled(served, ""), 422, "invalid_request")
    assert_problem(await upscaled(served, url, scale="x"), 422, "invalid_request")
    assert_problem(await upscaled(served, url, unknown="x"), 422, "invalid_request")
    odd = await served.client.post(
        "/upscale",
        content=b"image_url=%ff&scale=2",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert_problem(odd, 422, "invalid_request")
    large = await served.client.post("/upscale", data={"image_url": "x" * 40_000})
    assert_problem(large, 422, "invalid_request")
    assert remote.received == []


async def test_without_sources_no_url_is_fetched(start: Start, remote: Remote) -> None:
    async with start(outbound_allow_private=("127.0.0.0/8",)) as served:
        members = await assert_refused(served, remote.url("/photo"), 403, "source_not_allowed")
    assert "ANYSR_SOURCES" in members["detail"]
    assert remote.received == []


async def test_other_hosts_and_private_addresses(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    assert worker.go.is_set()
    closed = fetching(remote, outbound_allow_private=())
    async with start(**closed) as served:
        await assert_refused(served, remote.url("/photo"), 403, "address_refused")
        await assert_refused(served, remote.url("/photo", "localhost"), 403, "address_refused")
        other = "http://elsewhere.example/"
        await assert_refused(served, other, 403, "source_not_allowed")
        await assert_refused(served, "file:///etc/passwd", 403, "address_refused")
        await assert_refused(served, "no address", 403, "address_refused")
    assert remote.received == []


async def test_redirects(served: RunningGateway, remote: Remote) -> None:
    remote.redirects("/moved", "/photo", status=301)
    assert size_of(await upscaled(served, remote.url("/moved"))) == (40, 24)
    remote.redirects("/circle", "/circle")
    await assert_refused(served, remote.url("/circle"), 424, "too_many_redirects")
    remote.redirects("/away", "http://elsewhere.example/")
    await assert_refused(served, remote.url("/away"), 403, "source_not_allowed")


async def test_answers_that_are_no_picture(served: RunningGateway, remote: Remote) -> None:
    members = await assert_refused(served, remote.url("/none"), 424, "remote_refused")
    assert members["remote_status"] == 404
    remote.serves("/text", b"<html>" * 100, Content_Type="image/png")
    await assert_refused(served, remote.url("/text"), 415, "unsupported_image")
    remote.serves("/empty", b"")
    await assert_refused(served, remote.url("/empty"), 400, "empty_body")
    remote.serves("/packed", drawn(), Content_Encoding="gzip")
    await assert_refused(served, remote.url("/packed"), 424, "remote_refused")
    remote.serves("/partial", drawn(), status=206)
    await assert_refused(served, remote.url("/partial"), 424, "remote_refused")


async def test_a_picture_that_is_cut_off_while_it_is_read(
    served: RunningGateway, remote: Remote
) -> None:
    async def half(writer: asyncio.StreamWriter, _: Received) -> None:
        picture = drawn()
        writer.write(head(200, {"Content-Length": str(len(picture))}) + picture[:-9])

    remote.answers["/half"] = half
    await assert_refused(served, remote.url("/half"), 424, "source_changed")


async def test_a_picture_that_changes_while_it_is_read(
    served: RunningGateway, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = iter(range(100))

    async def other(writer: asyncio.StreamWriter, _: Received) -> None:
        picture, tag = drawn(), f'"{next(versions)}"'
        writer.write(head(200, {"Content-Length": str(len(picture)), "ETag": tag}) + picture)

    remote.answers["/other"] = other
    remote.serves("/same", drawn(), ETag='"same"')
    settings = GatewaySettings(**fetching(remote))
    outbound = build_outbound(settings)
    sources = build_sources(settings, outbound, {}, store_client({}), GatewayMetrics())
    monkeypatch.setattr(sources, "_long_s", 0.0)
    assert await sources.picture(remote.url("/same")) == drawn()
    assert await sources.picture(remote.url("/photo")) == drawn()  # has no validator
    with pytest.raises(SourceChanged):
        await sources.picture(remote.url("/other"))
    await outbound.close()
    assert served.gateway.settings.sources


async def test_an_endless_picture_ends_at_the_limit(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter, _: Received) -> None:
        nonlocal sent
        writer.write(head(200, {}))
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(bytes(1 << 16))
                sent += 1 << 16
                await writer.drain()

    remote.answers["/endless"] = endless
    remote.serves("/declared", b"", Content_Length="99999999")
    assert worker.go.is_set()
    async with start(**fetching(remote, max_body_bytes=1 << 20)) as served:
        members = await assert_refused(served, remote.url("/endless"), 413, "body_too_large")
        assert members["max_body_bytes"] == 1 << 20
        await assert_refused(served, remote.url("/declared"), 413, "body_too_large")
    assert sent < 64 << 20  # what two connections buffer, not what was offered


async def test_a_slow_source_is_given_up_and_its_slot_is_free_again(
    start: Start, worker: ScriptedWorker, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip(writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(head(200, {"Content-Length": "100000"}))
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)

    assert worker.go.is_set()
    remote.answers["/drip"] = drip
    remote.answers["/hang"] = hang
    async with start(**fetching(remote, upload_timeout_seconds=0.3, max_uploads=1)) as served:
        await assert_refused(served, remote.url("/drip"), 424, "remote_too_slow")
        await assert_refused(served, remote.url("/hang"), 424, "remote_too_slow")
    monkeypatch.setattr(body_bounds, "GRACE_S", 0.2)
    async with start(**fetching(remote, max_uploads=1)) as served:
        members = await assert_refused(served, remote.url("/drip"), 424, "remote_too_slow")
        assert "bytes per second" in members["detail"]
        assert size_of(await upscaled(served, remote.url("/photo"))) == (40, 24)


async def test_a_caller_who_leaves_ends_the_fetch(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    assert worker.go.is_set()
    remote.answers["/hang"] = hang
    async with start(**fetching(remote, max_uploads=1)) as served:
        leaving = asyncio.create_task(upscaled(served, remote.url("/hang")))
        await eventually(lambda: remote.received, "a request to the remote")
        busy = await upscaled(served, remote.url("/photo"))
        assert_problem(busy, 429, "overloaded")
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

        async def free() -> bool:
            return (await upscaled(served, remote.url("/photo"))).status_code == 200

        await eventually(free, "a free slot")


async def test_addresses_stay_out_of_the_log(
    served: RunningGateway, remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await upscaled(served, remote.url("/photo?X-Amz-Signature=confidential"))
    await upscaled(served, remote.url("/none?X-Amz-Signature=confidential"))
    lines = [json.dumps(vars(r), default=str) for r in caplog.records if r.name.startswith("anysr")]
    assert [line for line in lines if '"fetched": true' in line]
    assert not [line for line in lines if "confidential" in line]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket("pictures")
        yield server


@pytest.fixture
async def with_buckets(
    start: Start, worker: ScriptedWorker, s3: S3Server, tmp_path: Path
) -> AsyncIterator[RunningGateway]:
    path = buckets_file(
        tmp_path,
        photos=s3.table(bucket="pictures"),
        inbox=s3.table(bucket="pictures", prefix="in/"),
        closed=s3.table(bucket="pictures", read=False),
        denied=s3.table(
            bucket="pictures",
            access_key_id=POWERLESS_KEY,
            secret_access_key=POWERLESS_SECRET,
        ),
        missing=s3.table(),
        gone={"endpoint": "http://127.0.0.1:9", "access_key_id": "a", "secret_access_key": "b"},
    )
    assert worker.go.is_set()
    async with start(buckets=path) as served:
        yield served


@pytest.mark.parametrize("key", ["a.png", "in/b b+ü/%41?c#d&e=f;g.png", "~x!*'()@:,$.png"])
async def test_a_picture_in_a_bucket(with_buckets: RunningGateway, s3: S3Server, key: str) -> None:
    await obstore.put_async(s3.store("pictures"), key, drawn(30, 20))
    assert size_of(await upscaled(with_buckets, f"s3://photos/{key}")) == (60, 40)


async def test_buckets_and_keys_that_are_not_open(
    with_buckets: RunningGateway, s3: S3Server
) -> None:
    await obstore.put_async(s3.store("pictures"), "a.png", drawn())
    for source, status, code in (
        ("s3://unknown/a.png", 403, "bucket_not_allowed"),
        ("s3://pictures/a.png", 403, "bucket_not_allowed"),  # its name in the store
        ("s3://closed/a.png", 403, "bucket_not_allowed"),
        ("s3://inbox/a.png", 403, "bucket_not_allowed"),
        ("s3://inbox/in/../a.png", 422, "invalid_request"),
        ("s3://photos", 422, "invalid_request"),
        ("s3://photos/none.png", 424, "object_not_found"),
        ("s3://missing/a.png", 424, "object_not_found"),
        ("s3://denied/a.png", 424, "bucket_denied"),
        ("s3://gone/a.png", 424, "remote_unreachable"),
    ):
        await assert_refused(with_buckets, source, status, code)


async def test_an_object_above_the_limit(
    start: Start, worker: ScriptedWorker, s3: S3Server, tmp_path: Path
) -> None:
    assert worker.go.is_set()
    await obstore.put_async(s3.store("pictures"), "large", bytes(200_000))
    path = buckets_file(tmp_path, photos=s3.table(bucket="pictures"))
    async with start(buckets=path, max_body_bytes=100_000) as served:
        await assert_refused(served, "s3://photos/large", 413, "body_too_large")
