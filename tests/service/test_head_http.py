"""HEAD answers what GET would, without the body, on every route that has GET."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.service.harness import RunningGateway, ScriptedWorker, drawn
from tests.support.waiting import eventually

CHANGING = frozenset({"date", "x-request-id"})


def steady(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in CHANGING}


async def both(served: RunningGateway, path: str) -> tuple[httpx.Response, httpx.Response]:
    get, head = await served.client.get(path), await served.client.head(path)
    assert head.status_code == get.status_code, path
    assert head.content == b""
    return get, head


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/openapi.json", "/static/app.js", "/docs/assets/swagger-ui.css"),
        *("/health/live", "/models", "/jobs/none", "/no/such/path", "/static/none.js"),
        *("/estimate?width=40&height=30&format=png&scale=2", "/estimate?scale=2"),
    ],
)
async def test_head_has_the_headers_of_get(served: RunningGateway, path: str) -> None:
    get, head = await both(served, path)
    if "estimate" in path and get.is_success:  # its figures follow the clock
        assert head.headers["content-type"] == get.headers["content-type"]
    else:
        assert steady(head) == steady(get)


async def test_head_of_what_changes_each_moment(served: RunningGateway) -> None:
    for path in ("/health/ready", "/metrics"):
        get, head = await both(served, path)
        assert head.headers["content-type"] == get.headers["content-type"]
        assert int(head.headers["content-length"]) > 0


async def test_head_of_a_result_leaves_it_in_place(served: RunningGateway) -> None:
    job = await served.submit()

    async def is_done() -> bool:
        return bool((await served.client.get(job["links"]["self"])).json()["run"])

    await eventually(is_done, "the job has run")
    for _ in range(2):
        head = await served.client.head(job["links"]["result"])
        assert (head.status_code, head.content) == (200, b"")
    picture = await served.client.get(job["links"]["result"])
    assert head.headers["content-length"] == str(len(picture.content))
    assert head.headers["content-type"] == picture.headers["content-type"] == "image/png"
    await eventually(lambda: served.gateway.room.held == 0, "the room of the results is free")


async def test_head_of_a_stream_ends(served: RunningGateway, worker: ScriptedWorker) -> None:
    worker.go.clear()
    job = await served.submit()
    async with asyncio.timeout(10):
        head = await served.client.head(job["links"]["events"])
    assert head.headers["content-type"].startswith("text/event-stream")
    assert (await served.client.get("/health/live")).is_success  # the connection is still good
    worker.go.set()


async def test_the_connection_goes_on_after_a_head(served: RunningGateway) -> None:
    """A body that was announced and not sent would be taken for the next answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    for method in ("HEAD", "HEAD", "GET"):
        writer.write(f"{method} /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    assert await reader.readexactly(length) == b'{"status":"live"}'
    writer.close()


async def test_routes_without_get_refuse_head(served: RunningGateway) -> None:
    head = await served.client.head("/upscale")
    assert (head.status_code, head.headers["allow"]) == (405, "POST")
    refused = await served.client.put("/models", content=drawn())
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_head_is_counted_as_head_of_its_route(served: RunningGateway) -> None:
    await served.client.head("/models")
    text = (await served.client.get("/metrics")).text
    assert 'anysr_http_requests_total{method="HEAD",route="/models",status="200"} 1.0' in text
