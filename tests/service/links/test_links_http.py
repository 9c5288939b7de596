"""Signed links over real HTTP: pictures, formats, validators, and refusals that fetch nothing."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from PIL import Image

from service.links.signature import LinkKey, link_key_of, signed
from tests.service.harness import (
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
)
from tests.support.remote import Remote, remote_server

OLD = "2026a:0123456789abcdef0123456789abcdef"
NEW = "2026b:fedcba9876543210fedcba9876543210"


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    """A server with a picture."""
    async with remote_server() as remote:
        remote.serves("/photo", drawn())
        yield remote


def linked(
    start: Start, remote: Remote, **settings: Any
) -> AbstractAsyncContextManager[RunningGateway]:
    """Start a gateway with links and a cache, which may fetch from this machine."""
    return start(
        **{
            "link_keys": f"{NEW},{OLD}",
            "sources": "127.0.0.1",
            "outbound_ports": str(remote.port),
            "outbound_allow_private": "127.0.0.0/8",
            "cache_mb": 8,
        }
        | settings
    )


async def get(
    served: RunningGateway,
    source: str,
    *,
    key: LinkKey | None = None,
    valid_s: int = 1000,
    headers: dict[str, str] | None = None,
    method: str = "GET",
    **wishes: Any,
) -> httpx.Response:
    pairs = [("src", source), *((n, str(v)) for n, v in ({"scale": 2} | wishes).items())]
    query = signed(pairs, key or link_key_of(OLD), int(time.time()) + valid_s)
    return await served.client.request(method, f"/image?{query}", headers=headers)


async def test_a_link_is_the_address_of_a_picture(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    async with linked(start, remote) as served:
        answer = await get(served, remote.url("/photo"))
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(answer.content)) as image:
            assert (image.format, image.size) == ("JPEG", (40, 24))
        assert answer.headers["vary"] == "Accept"
        directive, _, seconds = answer.headers["cache-control"].rpartition("=")
        assert directive == "public, max-age"
        assert 0 < int(seconds) <= 1000
    assert len(worker.claims) == 1


async def test_accept_chooses_the_format_unless_the_link_names_it(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    assert worker.go.is_set()
    async with linked(start, remote) as served:
        webp = {"Accept": "image/webp,*/*"}
        answer = await get(served, remote.url("/photo"), headers=webp)
        assert answer.headers["content-type"] == "image/webp"
        named = await get(served, remote.url("/photo"), headers=webp, format="png")
        assert named.headers["content-type"] == "image/png"
        assert "vary" not in named.headers
        none = await get(served, remote.url("/photo"), headers={"Accept": "text/html"})
        assert none.status_code == 406
        assert none.headers["vary"] == "Accept"


async def test_not_modified_without_worker_and_source(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    async with linked(start, remote, cache_mb=0) as served:
        until = int(time.time()) + 1000
        query = signed([("src", remote.url("/photo")), ("scale", "2")], link_key_of(OLD), until)
        first = await served.client.get(f"/image?{query}")
        tag = first.headers["etag"]
        assert tag.startswith('"')
        fetched = len(remote.received)
        same = await served.client.get(f"/image?{query}", headers={"If-None-Match": tag})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert same.headers["vary"] == "Accept"
        assert 0 < int(same.headers["cache-control"].rpartition("=")[2]) <= 1000
        assert (len(worker.claims), len(remote.received)) == (1, fetched)
        other = {"If-None-Match": tag, "Accept": "image/webp"}
        assert (await served.client.get(f"/image?{query}", headers=other)).status_code == 200
        stale = await served.client.get(f"/image?{query}", headers={"If-None-Match": '"x"'})
        assert stale.status_code == 200


async def test_head_tells_the_same(start: Start, worker: ScriptedWorker, remote: Remote) -> None:
    async with linked(start, remote) as served:
        head = await get(served, remote.url("/photo"), method="HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert served.gateway.cache is not None
        await served.gateway.cache.close()
        answer = await get(served, remote.url("/photo"))
        assert head.headers["etag"] == answer.headers["etag"]
        assert head.headers["content-length"] == str(len(answer.content))
    assert len(worker.claims) == 1


async def test_who_views_a_page_cannot_choose_how_it_is_made(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    async with linked(start, remote) as served:
        await get(served, remote.url("/photo"))
        assert served.gateway.cache is not None
        await served.gateway.cache.close()
        forced = {"Cache-Control": "no-cache", "Idempotency-Key": "k", "Pragma": "no-cache"}
        again = await get(served, remote.url("/photo"), headers=forced)
        assert again.headers["x-anysr-cache"] == "hit"
    assert len(worker.claims) == 1


async def test_refused_links_fetch_nothing(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    async with linked(start, remote) as served:
        url = remote.url("/photo")
        other = LinkKey("2026a", b"x" * 32)
        assert_problem(await get(served, url, key=other), 403, "signature_invalid")
        unknown = LinkKey("2025z", link_key_of(OLD).secret)
        assert_problem(await get(served, url, key=unknown), 403, "signature_invalid")
        assert_problem(await get(served, url, valid_s=-1), 403, "link_expired")
        bare = await served.client.get("/image", params={"src": url, "scale": 2})
        assert_problem(bare, 403, "signature_invalid")
        assert_problem(await get(served, url, scale="x"), 422, "invalid_request")
        assert_problem(await get(served, url, webhook_url=url), 422, "invalid_request")
        assert_problem(await get(served, url, image_url=url), 422, "invalid_request")
        host = await get(served, "https://example.com/photo")
        assert_problem(host, 403, "source_not_allowed")
        assert_problem(await get(served, "s3://other/photo"), 403, "bucket_not_allowed")
        assert remote.received == []
    async with linked(start, remote, link_keys="") as served:
        assert_problem(await get(served, remote.url("/photo")), 403, "links_disabled")
    assert (worker.claims, remote.received) == ([], [])


async def test_a_key_that_was_taken_away_opens_nothing(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    assert worker.go.is_set()
    async with linked(start, remote, link_keys=NEW) as served:
        refused = await get(served, remote.url("/photo"), key=link_key_of(OLD))
        assert_problem(refused, 403, "signature_invalid")
        answer = await get(served, remote.url("/photo"), key=link_key_of(NEW))
        assert answer.status_code == 200
