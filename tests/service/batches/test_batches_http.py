"""Batches over real HTTP: their states, manifests, bad sources, cancellation and callers."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from redis.asyncio import Redis
from standardwebhooks import Webhook

from jobs.batch import BatchItem, BatchOrder, NewBatch
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from service.batches.order import largest_body
from tests.service.batches.conftest import fetching
from tests.service.batches.driving import ended, items_of, posted, shown, sources_of
from tests.service.harness import (
    MODEL,
    UNSERVED,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
)
from tests.service.test_status_http import metrics_of
from tests.support.key_files import new_key
from tests.support.remote import Remote, hang
from tests.support.waiting import eventually

TEN = tuple(f"/{number}" for number in range(10))
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


async def test_each_source_becomes_a_picture_of_its_own(
    served: RunningGateway, remote: Remote, worker: ScriptedWorker
) -> None:
    batch = await posted(served.client, sources_of(remote, *TEN), options={"scale": 2.5})
    assert batch["total"] == 10
    assert batch["options"] == {"scale": "2.5"}
    over = await ended(served.client, batch)
    assert (over["status"], over["progress"]) == ("finished", 1.0)
    assert over["counts"] == {
        "waiting": 0, "running": 0, "succeeded": 10, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    assert over["created_ms"] <= over["started_ms"] <= over["finished_ms"]
    items = await items_of(served.client, batch)
    assert [item["name"] for item in items] == list(TEN)
    for number, item in enumerate(items):
        picture = await served.client.get(item["links"]["result"])
        with Image.open(io.BytesIO(picture.content)) as image:
            assert image.size == (round((20 + number) * 2.5), 30)
    assert len(worker.claims) == 10
    assert {claim.job.budget_ms for claim in worker.claims} == {600_000.0}


OPEN_TO_THIS_MACHINE = {"result_hosts": ("127.0.0.1",), "result_http": True}


async def confidential_in(raw_redis: Redis, keys: Keys, batch: str) -> tuple[int, bool]:
    """Return the number of URLs that are kept of a batch, and whether one is in its sources."""
    listed: Any = await raw_redis.lrange(keys.batch_items(batch), 0, -1)
    return await raw_redis.hlen(keys.batch_urls(batch)), "confidential" in str(listed)


async def test_a_url_to_write_to_is_kept_until_its_source_has_ended(
    start: Start, worker: ScriptedWorker, remote: Remote, raw_redis: Redis, keys: Keys
) -> None:
    worker.go.clear()
    sources = sources_of(remote, *TEN)
    for source in sources[1:]:
        source["result_url"] = remote.url("/out/a.png?X-Amz-Signature=confidential")
    async with start(**fetching(remote, batch_jobs=2, **OPEN_TO_THIS_MACHINE)) as served:
        batch = await posted(served.client, sources)
        async with asyncio.timeout(10):
            await worker.claimed.wait()
        assert await confidential_in(raw_redis, keys, batch["id"]) == (9, False)
        await served.client.delete(batch["links"]["self"])
        await ended(served.client, batch)
        assert await confidential_in(raw_redis, keys, batch["id"]) == (0, False)


async def test_each_picture_goes_where_its_source_says(
    start: Start, worker: ScriptedWorker, remote: Remote, raw_redis: Redis, keys: Keys
) -> None:
    remote.serves("/out/a.png", b"")
    signed = "/out/a.png?X-Amz-Signature=confidential"
    sources: list[dict[str, str]] = sources_of(remote, "/0", "/1")
    sources[0]["result_url"] = remote.url(signed)
    async with start(**fetching(remote, **OPEN_TO_THIS_MACHINE)) as served:
        batch = await posted(served.client, sources)
        await ended(served.client, batch)
        assert await confidential_in(raw_redis, keys, batch["id"]) == (0, False)
        first, second = await items_of(served.client, batch)
        assert (first["place"], second["place"]) == ("http://127.0.0.1", None)
        assert "confidential" not in json.dumps(first)

        async def job(item: dict[str, Any]) -> dict[str, Any]:
            found: dict[str, Any] = (await served.client.get(item["links"]["job"])).json()
            return found

        async def stored() -> bool:
            return bool((await job(first))["destination"]["state"] == "stored")

        await eventually(stored, "the picture is put where it should go")
        assert (await job(second))["destination"] is None
        [put] = [request for request in remote.received if request.method == "PUT"]
        assert put.path == signed
        picture = await served.client.get(first["links"]["result"])
        assert put.body == picture.content
    assert len(worker.claims) == 2


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ({"result": "s3://elsewhere/a.png"}, 403, "bucket_not_allowed"),
        ({"result": "https://host.example/a.png"}, 422, "invalid_request"),
        ({"result_url": "https://host.example/a.png"}, 403, "result_not_allowed"),
        ({"result": "s3://a/b", "result_url": "https://a/b"}, 422, "invalid_request"),
    ],
)
async def test_a_place_that_is_not_allowed_is_refused_before_anything_is_fetched(
    served: RunningGateway, remote: Remote, source: dict[str, str], status: int, code: str
) -> None:
    sources = sources_of(remote, "/0", "/1")
    sources[1] |= source
    body = {"sources": sources, "options": {"scale": 2}}
    refused = await served.client.post("/batches", json=body)
    assert "sources.1" in assert_problem(refused, status, code)["detail"]
    assert remote.received == []


async def test_sources_are_counted_by_how_they_ended(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    async with start(**fetching(remote), snapshot_seconds=0.05) as served:
        worker.go.clear()
        remote.answers["/hang"] = hang
        mixed = await posted(served.client, sources_of(remote, "/0", "/missing", "/1"))

        async def counted(**wanted: float) -> None:
            async def shown() -> bool:
                found = await metrics_of(served)
                name = "anysr_batch_sources_total"
                return all(found[name, state] == number for state, number in wanted.items())

            await eventually(shown, f"metrics show {wanted}")

        async def is_open(number: int) -> None:
            async def shown() -> bool:
                return bool((await metrics_of(served))["anysr_batches_open",] == number)

            await eventually(shown, f"{number} batches are open")

        await is_open(1)
        worker.go.set()
        await ended(served.client, mixed)
        await counted(succeeded=2, failed=1, cancelled=0)
        hanging = await posted(served.client, sources_of(remote, "/hang"))
        await served.client.delete(hanging["links"]["self"])
        await ended(served.client, hanging)
        await counted(succeeded=2, failed=1, cancelled=1)
        await is_open(0)


async def test_a_bad_source_fails_alone(served: RunningGateway, remote: Remote) -> None:
    remote.serves("/text", b"no picture")
    remote.serves("/empty", b"")
    sources = sources_of(remote, "/0", "/text", "/missing", "/empty", "/1")
    sources[3:3] = [{"image_url": "http://elsewhere.example/x.png"}, {"image_url": "nonsense"}]
    batch = await posted(served.client, sources)
    over = await ended(served.client, batch)
    assert (over["counts"]["succeeded"], over["counts"]["failed"]) == (2, 5)
    items = await items_of(served.client, batch)
    codes = [(item["error"] or {}).get("code") for item in items]
    assert codes == [
        None, "unsupported_image", "remote_refused", "source_not_allowed", "address_refused",
        "empty_body", None,
    ]  # fmt: skip
    assert items[2]["error"]["remote_status"] == 404
    assert items[2]["links"]["result"] is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"[1]", "object"),
        (b'{"sources": []}', "sources"),
        (b'{"sources": [{"image_url": ""}]}', "sources.0.image_url"),
        (b'{"sources": [{"image_url": "\\ud800"}]}', "JSON"),
        (b'{"sources": [{"image_url": "http://a/b", "size": 2}]}', "sources.0.size"),
        (b'{"sources": [{"image_url": "http://a/b"}]}', "exactly one of scale"),
        (b'{"sources": [{"image_url": "http://a/b"}], "options": {"scale": 1e999}}', "scale"),
        (b'{"sources": [{"image_url": "http://a/b"}], "options": {"scale": true}}', "scale"),
        (b'{"sources": [{"image_url": "http://a/b"}], "options": {"scale": [2]}}', "scale"),
        (
            b'{"sources": [{"image_url": "http://a/b"}], "options": {"frame": 1%s}}'
            % (b"0" * 5000),
            "",
        ),
        (b"[" * 100_000, "JSON"),
        (
            b'{"sources": [{"image_url": "http://a/b"}], "options": {"image_url": "x"}}',
            "image_url",
        ),
        (b'{"sources": [{"image_url": "http://a/b"}], "options": {"sclae": 2}}', "sclae"),
        (
            b'{"sources": [{"image_url": "http://a/b"}], "options": {"scale": 2}, "durable": 0}',
            "durable",
        ),
        (
            b'{"sources": [{"image_url": "http://a/b"}],'
            b' "options": {"scale": 2, "latency_budget_ms": 600001}}',
            "latency_budget_ms",
        ),
    ],
)
async def test_a_malformed_batch_is_refused_whole(
    served: RunningGateway, body: bytes, named: str, raw_redis: Redis, keys: Keys
) -> None:
    refused = await served.client.post("/batches", content=body)
    assert named in assert_problem(refused, 422, "invalid_request")["detail"]
    assert await raw_redis.zcard(keys.batches) == 0


async def test_sizes_are_bounded(start: Start, worker: ScriptedWorker, remote: Remote) -> None:
    worker.go.clear()
    async with start(**fetching(remote, batch_sources=3, batches=2)) as served:
        many = {"sources": sources_of(remote, *TEN[:4]), "options": {"scale": 2}}
        assert_problem(await served.client.post("/batches", json=many), 422, "invalid_request")
        large = b" " * (largest_body(3) + 1)
        refused = await served.client.post("/batches", content=large)
        assert_problem(refused, 413, "body_too_large")
        first = await posted(served.client, sources_of(remote, "/0"))
        await posted(served.client, sources_of(remote, "/1"))
        one = {"sources": sources_of(remote, "/2"), "options": {"scale": 2}}
        full = await served.client.post("/batches", json=one)
        assert_problem(full, 429, "overloaded")
        assert full.headers["retry-after"] == "30"
        worker.go.set()
        await ended(served.client, first)
        await posted(served.client, sources_of(remote, "/2"))


async def test_a_request_that_is_repeated_makes_no_second_batch(
    served: RunningGateway, remote: Remote, worker: ScriptedWorker
) -> None:
    body = {"sources": sources_of(remote, "/0", "/1"), "options": {"scale": 2}}
    headers = {"Idempotency-Key": '"once"'}
    first = await served.client.post("/batches", json=body, headers=headers)
    again = await served.client.post("/batches", json=body, headers=headers)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    body["options"] = {"scale": 3}
    other = await served.client.post("/batches", json=body, headers=headers)
    assert_problem(other, 422, "idempotency_key_reused")
    await ended(served.client, first.json())
    assert len(worker.claims) == 2


async def test_a_cancelled_batch_begins_nothing_more(
    served: RunningGateway, remote: Remote, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    batch = await posted(served.client, sources_of(remote, *TEN))
    async with asyncio.timeout(10):
        await worker.claimed.wait()
    answer = await served.client.delete(batch["links"]["self"])
    assert answer.status_code == 200
    assert answer.json()["counts"]["waiting"] == 0
    over = await ended(served.client, batch)
    assert over["status"] == "cancelled"
    assert over["counts"]["cancelled"] == 10
    stats = await served.stats()
    assert stats.queued == 0
    worker.go.set()
    again = await served.client.delete(batch["links"]["self"])
    assert again.json() == over
    items = await items_of(served.client, batch)
    assert {item["error"]["code"] for item in items} == {"job_cancelled"}
    fetched = {received.path for received in remote.received}
    assert fetched <= set(TEN[:8])


async def test_a_batch_that_hangs_in_a_fetch_can_be_cancelled(
    served: RunningGateway, remote: Remote
) -> None:
    remote.answers["/slow"] = hang
    batch = await posted(served.client, sources_of(remote, "/slow", "/0"))
    await eventually(lambda: any(r.path == "/slow" for r in remote.received), "a fetch")
    await served.client.delete(batch["links"]["self"])
    over = await ended(served.client, batch)
    assert over["status"] == "cancelled"
    states = {item["name"]: item["state"] for item in await items_of(served.client, batch)}
    assert states["/slow"] == "cancelled"


async def test_a_batch_lies_beneath_interactive_work(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    worker.go.clear()
    async with start(**fetching(remote, batch_jobs=4)) as served:
        batch = await posted(served.client, sources_of(remote, *TEN))
        async with asyncio.timeout(10):
            await worker.claimed.wait()

        async def begun() -> bool:
            return bool((await shown(served.client, batch))["counts"]["running"] == 4)

        await eventually(begun, "as many sources as are worked on at once")
        assert (await served.stats()).queued <= 3
        interactive = await served.submit(scale=2, latency_budget_ms=20_000)
        worker.go.set()
        await ended(served.client, batch)
        assert (await served.client.get(interactive["links"]["result"])).status_code == 200
    assert worker.claims[1].job.id == interactive["id"]


async def test_no_more_jobs_wait_than_the_workers_will_take_soon(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    worker.go.clear()
    async with start(**fetching(remote, batch_jobs=4)) as served:
        for number in range(3):
            await served.submit(scale=2 + number / 10)
        fetched = len(remote.received)
        batch = await posted(served.client, sources_of(remote, *TEN))

        async def begun() -> bool:
            return bool((await shown(served.client, batch))["counts"]["running"] == 4)

        await eventually(begun, "as many sources as are worked on at once")
        assert len(remote.received) == fetched
        worker.go.set()
        await ended(served.client, batch)
    assert {claim.job.budget_ms for claim in worker.claims[:3]} == {60_000.0}


async def test_batches_take_turns(start: Start, worker: ScriptedWorker, remote: Remote) -> None:
    worker.go.clear()
    async with start(**fetching(remote, batch_jobs=2)) as served:
        long = await posted(served.client, sources_of(remote, *TEN, *TEN))
        async with asyncio.timeout(10):
            await worker.claimed.wait()
        short = await posted(served.client, sources_of(remote, "/0", "/1"))

        async def begun() -> bool:
            return (await shown(served.client, short))["started_ms"] is not None

        await eventually(begun, "the second batch")
        worker.go.set()
        ends = [(await ended(served.client, batch))["finished_ms"] for batch in (short, long)]
    assert ends[0] < ends[1]


async def test_a_batch_leaves_memory_of_redis_to_others(
    start: Start, worker: ScriptedWorker, remote: Remote, raw_redis: Redis
) -> None:
    assert worker.go.is_set()
    limit: Any = (await raw_redis.config_get("maxmemory"))["maxmemory"]
    used: Any = (await raw_redis.info("memory"))["used_memory"]
    await raw_redis.config_set("maxmemory", used * 3 // 2)
    try:
        async with start(**fetching(remote)) as served:
            batch = await posted(served.client, sources_of(remote, "/0"))

            async def begun() -> bool:
                return bool((await shown(served.client, batch))["counts"]["running"] == 1)

            await eventually(begun, "a source that waits for memory")
            assert remote.received == []
            await raw_redis.config_set("maxmemory", limit)
            over = await ended(served.client, batch)
    finally:
        await raw_redis.config_set("maxmemory", limit)
    assert over["counts"]["succeeded"] == 1


async def test_changes_are_sent_as_events(served: RunningGateway, remote: Remote) -> None:
    batch = await posted(served.client, sources_of(remote, "/0", "/1", "/2"))
    async with served.client.stream("GET", batch["links"]["events"], timeout=30) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in response.aiter_lines()]
    assert set(lines[::3]) == {"event: batch"}
    states = [json.loads(line.removeprefix("data: ")) for line in lines[1::3]]
    progress = [state["progress"] for state in states]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert states[-1] == await shown(served.client, batch)
    assert states[-1]["status"] == "finished"


async def test_its_end_is_announced_once(
    start: Start, worker: ScriptedWorker, remote: Remote, raw_redis: Redis, keys: Keys
) -> None:
    assert worker.go.is_set()
    remote.serves("/hook", b"", 204)
    settings = fetching(remote, webhook_secrets=SECRET, admin_key="an admin key of tests")
    async with start(**settings) as served:
        sources = sources_of(remote, "/0", "/missing")
        batch = await posted(served.client, sources, webhook_url=remote.url("/hook"))

        async def delivered() -> bool:
            webhook = (await shown(served.client, batch))["webhook"]
            return webhook["delivered_ms"] is not None

        await eventually(delivered, "the webhook of a batch")
        over = await shown(served.client, batch)
    (received,) = [found for found in remote.received if found.path == "/hook"]
    content = Webhook(SECRET).verify(received.body, dict(received.headers))
    del over["webhook"]
    assert (content["type"], content["data"]) == ("batch.finished", over)
    assert await raw_redis.ttl(keys.record(f"batch-{batch['id']}")) > 0


async def test_a_webhook_that_was_given_up_is_listed_and_sent_again(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    assert worker.go.is_set()
    remote.serves("/hook", b"", 410)
    admin = {"Authorization": "Bearer an admin key of tests"}
    settings = fetching(remote, webhook_secrets=SECRET, admin_key="an admin key of tests")
    async with start(**settings) as served:
        sources = sources_of(remote, "/0")
        batch = await posted(served.client, sources, webhook_url=remote.url("/hook"))

        async def listed() -> bool:
            dead = (await served.client.get("/admin/webhooks/dead", headers=admin)).json()
            return [found["id"] for found in dead] == [batch["id"]]

        await eventually(listed, "a dead webhook")
        remote.serves("/hook", b"", 204)
        again = f"/admin/webhooks/{batch['id']}/resend"
        assert (await served.client.post(again, headers=admin)).status_code == 202

        async def delivered() -> bool:
            return (await shown(served.client, batch))["webhook"]["delivered_ms"] is not None

        await eventually(delivered, "the webhook of a batch")


async def test_nothing_is_left_in_redis(
    served: RunningGateway, remote: Remote, raw_redis: Redis, keys: Keys, queue: RedisQueue
) -> None:
    batch = await posted(served.client, sources_of(remote, "/0", "/missing"), options={"scale": 2})
    await ended(served.client, batch)
    assert await queue.batches.claim(10) == []
    assert await raw_redis.zcard(keys.batches) == 0
    kept = [name async for name in raw_redis.scan_iter(match=f"{keys.tag}:*{batch['id']}*")]
    assert len(kept) == 2
    for name in kept:
        assert 0 < await raw_redis.ttl(name) <= 3600
        await raw_redis.delete(name)  # as when its time is over
    gone = await served.client.get(batch["links"]["self"])
    assert_problem(gone, 404, "batch_not_found")


@pytest.mark.parametrize("path", ["", "/items", "/events"])
async def test_an_unknown_batch_is_not_found(served: RunningGateway, path: str) -> None:
    for unknown in ("0" * 32, "x", "batch-1"):
        found = await served.client.get(f"/batches/{unknown}{path}")
        assert_problem(found, 404, "batch_not_found")


async def test_a_batch_is_its_callers_alone(
    start: Start, worker: ScriptedWorker, remote: Remote, tmp_path: Path
) -> None:
    worker.go.clear()
    path = tmp_path / "keys.toml"
    shop, other = new_key(path, "shop"), new_key(path, "other")
    async with start(keys=path, **fetching(remote)) as served:
        body = {"sources": sources_of(remote, "/0", "/1"), "options": {"scale": 2}}
        assert_problem(await served.client.post("/batches", json=body), 401, "unauthorized")
        batch = (await served.client.post("/batches", json=body, headers=shop)).json()
        for method, part in (("GET", "self"), ("GET", "items"), ("GET", "events")):
            link = batch["links"][part]
            assert_problem(await served.client.request(method, link), 401, "unauthorized")
            theirs = await served.client.request(method, link, headers=other)
            assert_problem(theirs, 404, "batch_not_found")
        link = batch["links"]["self"]
        theirs = await served.client.delete(link, headers=other)
        assert_problem(theirs, 404, "batch_not_found")
        worker.go.set()
        served.client.headers.update(shop)
        over = await ended(served.client, batch)
        assert over["counts"]["succeeded"] == 2
        (item, _) = await items_of(served.client, batch)
        theirs = await served.client.get(item["links"]["result"], headers=other)
        assert_problem(theirs, 404, "job_not_found")
        assert (await served.client.get(item["links"]["result"])).status_code == 200


async def test_limits_of_a_client_hold_for_its_batches(
    start: Start, worker: ScriptedWorker, remote: Remote, tmp_path: Path
) -> None:
    assert worker.go.is_set()
    path = tmp_path / "keys.toml"
    one = 40 * 24
    shop = new_key(path, "shop", pixels_per_day=2 * one + 1, models=[MODEL])
    async with start(keys=path, **fetching(remote)) as served:
        served.client.headers.update(shop)
        named = {"sources": sources_of(remote, "/0"), "options": {"scale": 2, "model": UNSERVED}}
        refused = await served.client.post("/batches", json=named)
        assert_problem(refused, 403, "model_not_allowed")
        batch = await posted(served.client, sources_of(remote, "/0", "/0", "/0"))
        over = await ended(served.client, batch)
        assert (over["counts"]["succeeded"], over["counts"]["failed"]) == (2, 1)
        codes = {(item["error"] or {}).get("code") for item in await items_of(served.client, batch)}
        assert codes == {None, "quota_exceeded"}


async def test_a_client_leaves_room_for_the_batches_of_others(
    start: Start, worker: ScriptedWorker, remote: Remote, tmp_path: Path
) -> None:
    worker.go.clear()
    path = tmp_path / "keys.toml"
    shop, other = new_key(path, "shop"), new_key(path, "other")
    async with start(keys=path, **fetching(remote, batches=3)) as served:
        body = {"sources": sources_of(remote, "/0"), "options": {"scale": 2}}

        async def status(key: dict[str, str]) -> int:
            return (await served.client.post("/batches", json=body, headers=key)).status_code

        assert [await status(shop) for _ in range(3)] == [202, 202, 429]
        assert [await status(other) for _ in range(2)] == [202, 429]


async def test_a_batch_of_a_revoked_client_fails(
    start: Start, worker: ScriptedWorker, remote: Remote, tmp_path: Path, queue: RedisQueue
) -> None:
    assert worker.go.is_set()
    path = tmp_path / "keys.toml"
    shop = new_key(path, "shop")
    order = BatchOrder("gone", {"scale": "2"})
    batch = NewBatch("0" * 32, order, (BatchItem(remote.url("/0")),))
    await queue.batches.create(batch, 100, 100)
    async with start(keys=path, **fetching(remote)) as served:
        assert_problem(
            await served.client.get(f"/batches/{batch.id}", headers=shop), 404, "batch_not_found"
        )

        async def over() -> bool:
            return (await queue.batches.view(batch.id)).ended

        await eventually(over, "the end of a batch without a client")
    (item,) = await queue.batches.items(batch.id, 0, 10)
    assert item.error_code == "unauthorized"
    assert remote.received == []
