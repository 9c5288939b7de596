"""Uploads hold no more slots, time and memory than their bounds allow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
import zlib
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from starlette.requests import Request

from jobs.embedded_redis import embedded_redis
from jobs.errors import Overloaded
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from service import body_bounds
from service.upload_slots import UploadSlots, client_of
from tests.service.gateway_process import MEBIBYTE, gateway_process
from tests.service.harness import ScriptedWorker, Start, assert_problem, drawn

STRANGER = {"X-Forwarded-For": "192.0.2.1"}
"""Headers of another address: uvicorn believes them of a caller on this machine."""
MULTIPART_HEAD = (
    b'--x\r\nContent-Disposition: form-data; name="scale"\r\n\r\n2\r\n'
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
)


def large_png(size: int) -> bytes:
    """Return `size` bytes with a valid PNG header; no pixel can be decoded."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        data = kind + content
        return struct.pack(">I", len(content)) + data + struct.pack(">I", zlib.crc32(data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1600, 1200, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", bytes(size - 57)) + chunk(b"IEND", b"")


def request_to(port: int, kind: str, picture: bytes) -> tuple[bytes, bytes]:
    """Return head and body of a POST /jobs with a raw picture or a form."""
    form = kind == "form"
    content = MULTIPART_HEAD + picture + b"\r\n--x--\r\n" if form else picture
    head = (
        f"POST /jobs{'' if form else '?scale=2'} HTTP/1.1\r\nHost: localhost:{port}\r\n"
        f"Content-Type: {'multipart/form-data; boundary=x' if form else 'image/png'}\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode(), content


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return what a server sends until it closes the connection, in whatever way: a byte that comes
    after the close resets it."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            received += piece
    return received


async def dripped(port: int, pause_s: float, piece: int, size: int = 10**6) -> bytes:
    """Send a body of `size` bytes in pieces with pauses; return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head, content = request_to(port, "raw", large_png(size))
    answer = asyncio.create_task(until_closed(reader))
    with contextlib.suppress(ConnectionError):
        writer.write(head)
        for start in range(0, size, piece):
            if answer.done():
                break
            writer.write(content[start : start + piece])
            await writer.drain()
            await asyncio.wait([answer], timeout=pause_s)
    received = await answer
    writer.close()
    return received


async def test_a_slow_upload_is_ended_and_its_slot_is_free(
    start: Start, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_bounds, "GRACE_S", 0.3)
    async with start(max_uploads=2, max_uploads_per_client=2) as served, asyncio.timeout(20):
        slow = [asyncio.create_task(dripped(served.port, 0.05, 1)) for _ in range(2)]
        for answer in await asyncio.gather(*slow):
            assert answer.startswith(b"HTTP/1.1 408 ")
            problem = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert problem["code"] == "request_timeout"
            assert "less than 16384 bytes per second" in problem["detail"]
        assert (await served.upscale()).status_code == 200
    assert worker.go.is_set()


@pytest.mark.parametrize("least", [16 * 1024, 0])
@pytest.mark.usefixtures("worker")
async def test_an_upload_above_the_least_rate_may_take_longer_than_the_grace(
    start: Start, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(body_bounds, "GRACE_S", 0.2)
    async with start(min_upload_bytes_per_second=least) as served, asyncio.timeout(20):
        answer = await dripped(served.port, 0.1, 10_000, size=100_000)
        assert answer.startswith(b"HTTP/1.1 202 ")


@pytest.mark.usefixtures("worker")
async def test_one_address_cannot_hold_all_uploads(start: Start) -> None:
    async with start(max_uploads=4) as served:
        held = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(4)]
        head, content = request_to(served.port, "raw", drawn())
        for _, writer in held:
            writer.write(head + content[:1])
            await writer.drain()
        async with asyncio.timeout(5):
            refused = [await held[index][0].readline() for index in (2, 3)]
        assert refused == [b"HTTP/1.1 429 Too Many Requests\r\n"] * 2
        members = assert_problem(response := await served.upscale(), 429, "overloaded")
        assert "this address" in members["detail"]
        assert response.headers["retry-after"] == "1"
        other = await served.client.post(
            "/jobs?scale=2", content=drawn(), headers=STRANGER | {"Content-Type": "image/png"}
        )
        assert other.status_code == 202
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a name", "a name"),
        (None, ""),
    ],
)
def test_a_client_is_an_ipv4_address_or_a_network_of_ipv6(host: str | None, client: str) -> None:
    address = None if host is None else SimpleNamespace(host=host)
    assert client_of(cast("Request", SimpleNamespace(client=address))) == client


def test_a_slot_is_free_again_after_its_upload() -> None:
    slots = UploadSlots(2, 1)
    for _ in range(3):
        with slots.taken("a"), slots.taken("b"):
            for client in "abc":
                with pytest.raises(Overloaded), slots.taken(client):
                    pass
        with pytest.raises(ValueError, match="failed"), slots.taken("a"):
            raise ValueError("the upload failed")


async def test_a_slot_is_held_until_the_queue_has_the_picture(
    start: Start, worker: ScriptedWorker, raw_redis: Redis
) -> None:
    async with start(max_uploads=1) as served:
        await raw_redis.execute_command("CLIENT", "PAUSE", 1000, "ALL")
        first = asyncio.create_task(served.post_job())
        await asyncio.sleep(0.3)
        assert_problem(await served.post_job(), 429, "overloaded")
        assert (await first).status_code == 202
        assert (await served.post_job()).status_code == 202
    assert worker.go.is_set()


async def sent(port: int, kind: str, picture: bytes, together: asyncio.Barrier) -> bytes:
    """Send a request whose last byte waits for the others; return the start of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head, content = request_to(port, kind, picture)
    writer.write(head + content[:-1])
    await writer.drain()
    await together.wait()
    writer.write(content[-1:])
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
@pytest.mark.parametrize("kind", ["raw", "form"])
async def test_a_body_takes_its_size_in_memory_and_no_second_copy(
    queue_settings: QueueSettings, kind: str
) -> None:
    """Twice, because malloc treats large blocks otherwise once it has seen some."""
    picture, number = large_png(31 * MEBIBYTE), 4
    total_mib = number * 31
    with embedded_redis(memory_mb=1000) as url:
        queue = RedisQueue.connect(url, queue_settings)
        worker = ScriptedWorker(queue)
        settings: dict[str, Any] = {"snapshot_stale_seconds": 600, "max_uploads": 64}
        await worker.heartbeat()
        with gateway_process(url, queue_settings.namespace, **settings) as gateway:
            before = gateway.start_mib
            for _ in range(2):
                await worker.heartbeat()
                together = asyncio.Barrier(number)
                answers = await asyncio.gather(
                    *(sent(gateway.port, kind, picture, together) for _ in range(number))
                )
                assert {answer[:12] for answer in answers} == {b"HTTP/1.1 202"}
            assert total_mib < gateway.peak_mib() - before < 1.4 * total_mib
            assert gateway.resident_mib() - before < 0.4 * total_mib
        await queue.close()
