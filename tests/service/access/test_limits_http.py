"""Limits over real HTTP: counted once for all gateways and all keys of a client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.harness import RunningGateway, ScriptedWorker, Start, assert_problem, drawn
from tests.support.key_files import new_key

PIXELS = 40 * 24
"""Of a drawn picture at scale 2."""
RARELY: dict[str, Any] = {"requests_per_second": 1e-4, "burst": 3}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The path of a file that does not exist yet."""
    return tmp_path / "keys.toml"


async def upscale(served: RunningGateway, key: dict[str, str]) -> httpx.Response:
    return await served.client.post(
        "/upscale",
        params={"scale": 2},
        content=drawn(),
        headers={"Content-Type": "image/png", **key},
    )


async def test_two_gateways_and_two_keys_share_a_bucket(start: Start, key_file: Path) -> None:
    keys = [new_key(key_file, "shop", **RARELY), new_key(key_file, "shop")]
    other = new_key(key_file, "other", **RARELY)
    async with start(keys=key_file) as one, start(keys=key_file) as two:
        answers = await asyncio.gather(
            *((one, two)[n % 2].client.get("/models", headers=keys[n // 2 % 2]) for n in range(8))
        )
        assert sorted(answer.status_code for answer in answers) == 3 * [200] + 5 * [429]
        refused = await two.client.get("/models", headers=keys[0])
        members = assert_problem(refused, 429, "rate_limited")
        assert 9_000 < members["retry_after_s"] <= 10_000
        assert 9_000 < int(refused.headers["retry-after"]) <= 10_000
        assert refused.headers["ratelimit-policy"] == '"requests";q=3;w=30000'
        assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')
        allowed = await one.client.get("/models", headers=other)
        assert allowed.headers["ratelimit"].startswith('"requests";r=2;t=')


async def test_a_used_up_quota_enqueues_nothing_and_reads_no_body(
    start: Start, worker: ScriptedWorker, key_file: Path
) -> None:
    shop = new_key(key_file, "shop", pixels_per_day=2 * PIXELS)
    async with start(keys=key_file) as served:
        first = await upscale(served, shop)
        assert first.status_code == 200, first.text
        policy = f'"pixels";q={2 * PIXELS};qu="pixels";w=86400'
        assert first.headers["ratelimit-policy"] == policy
        assert first.headers["ratelimit"].startswith(f'"pixels";r={PIXELS};t=')
        assert (await upscale(served, shop)).headers["ratelimit"].startswith('"pixels";r=0;t=')
        claims = len(worker.claims)

        refused = await upscale(served, shop)
        members = assert_problem(refused, 429, "quota_exceeded")
        assert 0 < members["retry_after_s"] <= 86_400
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
        head = await head_without_body(served.port, shop)
        assert head.startswith(b"HTTP/1.1 429 ")
        assert (await served.stats()).queued == 0
        assert len(worker.claims) == claims == 2
        assert (await served.client.get("/models", headers=shop)).status_code == 200


async def head_without_body(port: int, key: dict[str, str]) -> bytes:
    """Return the head of the answer to a request whose body never comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        *("POST /upscale?scale=2 HTTP/1.1", "Host: localhost", "Content-Type: image/png"),
        *("Content-Length: 1000000", f"Authorization: {key['Authorization']}"),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


async def test_a_picture_above_what_is_left_is_refused_and_a_smaller_one_is_not(
    start: Start, worker: ScriptedWorker, key_file: Path
) -> None:
    shop = new_key(key_file, "shop", pixels_per_day=PIXELS - 1)
    async with start(keys=key_file) as served:
        members = assert_problem(await upscale(served, shop), 429, "quota_exceeded")
        assert f"this picture has {PIXELS}" in members["detail"]
        assert not worker.claims
        smaller = await served.client.post(
            "/upscale",
            params={"scale": 1.5},
            content=drawn(),
            headers={"Content-Type": "image/png", **shop},
        )
        assert smaller.status_code == 200, smaller.text


async def test_jobs_that_wait_are_limited(
    start: Start, worker: ScriptedWorker, key_file: Path
) -> None:
    shop = new_key(key_file, "shop", jobs_waiting=1)
    worker.go.clear()

    async def post(served: RunningGateway) -> httpx.Response:
        return await served.client.post(
            "/jobs",
            params={"scale": 2},
            content=drawn(),
            headers={"Content-Type": "image/png", **shop},
        )

    async with start(keys=key_file) as served:
        assert (await post(served)).status_code == 202
        async with asyncio.timeout(20):
            await worker.claimed.wait()
        waiting = await post(served)
        assert waiting.status_code == 202
        refused = await post(served)
        assert_problem(refused, 429, "too_many_jobs")
        assert refused.headers["retry-after"] == "1"
        cancelled = await served.client.delete(f"/jobs/{waiting.json()['id']}", headers=shop)
        assert cancelled.json()["status"] == "cancelled"
        assert (await post(served)).status_code == 202
        worker.go.set()
