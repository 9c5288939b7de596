"""Webhooks over real HTTP: every end of a job, receivers of every kind, restarts, and the dead."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from standardwebhooks import Webhook
from typer.testing import CliRunner

from cli.main import app
from jobs.errors import CorruptImage
from jobs.job import DeliveryKind
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.service.harness import (
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
)
from tests.support.deliveries import hurry
from tests.support.redis_server import expire_lease
from tests.support.remote import Answer, Received, Remote, hang, head, remote_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("worker")

LEASES_S = dict.fromkeys(DeliveryKind, 60.0)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
ADMIN = "an admin key of tests"
BEARER = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def keys(queue_settings: QueueSettings) -> Keys:
    """The names in Redis of the fixture `queue`."""
    return Keys(queue_settings.namespace)


@pytest.fixture
async def receiver() -> AsyncIterator[Remote]:
    """A receiver that takes everything at /hook."""
    async with remote_server() as remote:
        remote.serves("/hook", b"", 204)
        yield remote


def open_to(*receivers: Remote, **settings: Any) -> dict[str, Any]:
    """Settings of a gateway that may deliver to these."""
    return {
        "webhook_secrets": SECRET,
        "outbound_allow_private": "127.0.0.0/8",
        "outbound_ports": tuple(receiver.port for receiver in receivers),
        "admin_key": ADMIN,
        **settings,
    }


async def webhook_of(served: RunningGateway, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await served.client.get(job["links"]["self"])).json()["webhook"]
    return found


async def until(
    served: RunningGateway, job: dict[str, Any], fulfilled: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Wait until the job's webhook fulfils a condition, and return it."""

    async def found() -> bool:
        return bool(fulfilled(await webhook_of(served, job)))

    await eventually(found, f"the webhook of job {job['id']}")
    return await webhook_of(served, job)


def verified(received: Received) -> dict[str, Any]:
    """The content of a message whose signature is right by the public library."""
    content: dict[str, Any] = Webhook(SECRET).verify(received.body, dict(received.headers))
    return content


async def test_a_finished_job_is_announced_with_what_its_address_says(
    start: Start, receiver: Remote
) -> None:
    async with start(**open_to(receiver)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/hook?token=x"))
        assert job["webhook"] == {
            "host": "127.0.0.1",
            "attempts": 0,
            "last_answer": None,
            "next_attempt_ms": None,
            "delivered_ms": None,
            "given_up_ms": None,
        }
        webhook = await until(served, job, lambda webhook: webhook["delivered_ms"])
        shown = (await served.client.get(job["links"]["self"])).json()
    assert (webhook["attempts"], webhook["last_answer"]) == (1, "204")
    assert webhook["next_attempt_ms"] is None
    (received,) = receiver.received
    assert (received.method, received.path) == ("POST", "/hook?token=x")
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == f"msg_{job['id']}"
    content = verified(received)
    assert content["type"] == "job.succeeded"
    assert content["timestamp"].endswith("Z")
    del shown["webhook"]
    assert content["data"] == shown
    assert shown["status"] == "succeeded"


async def test_every_end_of_a_job_is_announced(
    start: Start,
    worker: ScriptedWorker,
    receiver: Remote,
    raw_redis: Redis,
    keys: Keys,
    queue: RedisQueue,
) -> None:
    url = receiver.url("/hook")
    async with start(**open_to(receiver)) as served:
        worker.failure = CorruptImage("torn")
        failed = await served.submit(scale=2, webhook_url=url)
        await until(served, failed, lambda webhook: webhook["delivered_ms"])
        worker.go.clear()
        worker.claimed.clear()
        running = await served.submit(scale=2, webhook_url=url)
        async with asyncio.timeout(5):
            await worker.claimed.wait()
        waiting = await served.submit(scale=2, webhook_url=url)
        late = await served.submit(
            scale=2, webhook_url=url, on_miss="reject", latency_budget_ms=2000
        )
        await raw_redis.hset(keys.record(late["id"]), "deadline_ms", "1")  # as time passes
        for job in (running, waiting):
            await served.client.delete(job["links"]["self"])
        worker.go.set()
        for job in (running, waiting, late):
            await until(served, job, lambda webhook: webhook["delivered_ms"])
        worker.go.clear()
        worker.claimed.clear()
        lost = await served.submit(scale=2, webhook_url=url)
        async with asyncio.timeout(5):
            await worker.claimed.wait()
        await raw_redis.hset(keys.record(lost["id"]), "attempt", "3")

        async def given_up() -> bool:  # its worker may renew the lease in between
            await expire_lease(raw_redis, keys, worker.claims[-1])
            await queue.leases.claim("another", 0)
            return (await queue.submissions.view(lost["id"])).ended

        await eventually(given_up, "the end of a job whose worker is lost")
        await until(served, lost, lambda webhook: webhook["delivered_ms"])
    said = {c["data"]["id"]: c for c in map(verified, receiver.received)}
    ends = {i: (c["type"], (c["data"]["error"] or {}).get("code")) for i, c in said.items()}
    assert ends == {
        failed["id"]: ("job.failed", "corrupt_image"),
        running["id"]: ("job.cancelled", "job_cancelled"),
        waiting["id"]: ("job.cancelled", "job_cancelled"),
        late["id"]: ("job.failed", "deadline_exceeded"),
        lost["id"]: ("job.failed", "worker_lost"),
    }


async def test_a_receiver_that_answers_500_gets_the_same_message_again(
    start: Start, receiver: Remote, raw_redis: Redis, keys: Keys
) -> None:
    receiver.serves("/hook", b"no", 500)
    async with start(**open_to(receiver)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/hook"))
        failed = await until(served, job, lambda webhook: webhook["attempts"] == 1)
        assert failed["last_answer"] == "500"
        assert failed["next_attempt_ms"] > 0
        receiver.serves("/hook", b"", 200)
        await hurry(raw_redis, keys)
        delivered = await until(served, job, lambda webhook: webhook["delivered_ms"])
        counts = {
            "anysr_webhooks_delivered_total 1.0",
            "anysr_webhook_failures_total 1.0",
            "anysr_webhooks_dead_total 0.0",
            "anysr_webhooks_waiting 0.0",
        }

        async def counted() -> bool:
            lines = (await served.client.get("/metrics")).text.splitlines()
            return counts <= set(lines)

        await eventually(counted, "the metrics of one delivery and one failure")
    assert (delivered["attempts"], delivered["last_answer"]) == (2, "200")
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert verified(second) == json.loads(first.body)


async def test_retry_after_is_respected(start: Start, receiver: Remote, raw_redis: Redis) -> None:
    receiver.serves("/hook", b"", 503, Retry_After="1000")
    async with start(**open_to(receiver)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/hook"))
        webhook = await until(served, job, lambda webhook: webhook["attempts"])
        seconds, micros = await raw_redis.time()
        left_ms = webhook["next_attempt_ms"] - (seconds * 1e3 + micros / 1e3)
    assert 900_000 < left_ms <= 1_000_000


async def test_a_receiver_that_is_gone_ends_it(start: Start, receiver: Remote) -> None:
    receiver.serves("/hook", b"", 410)
    async with start(**open_to(receiver)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/hook"))
        webhook = await until(served, job, lambda webhook: webhook["given_up_ms"])
        assert (webhook["attempts"], webhook["last_answer"]) == (1, "410")
        assert webhook["next_attempt_ms"] is None
        dead = await served.client.get("/admin/webhooks/dead", headers=BEARER)
        assert [(d["id"], d["webhook"]["last_answer"]) for d in dead.json()] == [(job["id"], "410")]
        receiver.serves("/hook", b"", 204)
        again = f"/admin/webhooks/{job['id']}/resend"
        assert_problem(await served.client.post(again), 401, "unauthorized")
        assert (await served.client.post(again, headers=BEARER)).status_code == 202
        await until(served, job, lambda webhook: webhook["delivered_ms"])
        assert (await served.client.get("/admin/webhooks/dead", headers=BEARER)).json() == []
        assert_problem(await served.client.post(again, headers=BEARER), 404, "webhook_not_found")


async def test_after_the_window_a_webhook_is_dead(start: Start, receiver: Remote) -> None:
    receiver.serves("/hook", b"", 500)
    async with start(**open_to(receiver, webhook_retry_seconds=0)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/hook"))
        webhook = await until(served, job, lambda webhook: webhook["given_up_ms"])
    assert (webhook["attempts"], webhook["last_answer"]) == (1, "500")


async def test_a_redirect_is_not_followed(start: Start, receiver: Remote) -> None:
    receiver.redirects("/old", receiver.url("/hook"), 307)
    async with start(**open_to(receiver)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/old"))
        webhook = await until(served, job, lambda webhook: webhook["attempts"])
    assert webhook["last_answer"] == "307"
    assert webhook["delivered_ms"] is None
    assert {received.path for received in receiver.received} == {"/old"}


async def test_a_receiver_that_hangs_holds_up_no_other(start: Start, receiver: Remote) -> None:
    async with remote_server() as stuck:
        stuck.answers["/hook"] = hang
        bounds = {"webhook_deliveries": 3, "webhook_deliveries_per_host": 2}
        settings = open_to(receiver, stuck, webhook_timeout_seconds=30, **bounds)
        async with start(**settings) as served:
            url = stuck.url("/hook", host="localhost")
            hanging = [await served.submit(scale=2, webhook_url=url) for _ in range(5)]
            await eventually(lambda: len(stuck.received) == 2, "two requests that hang")
            for _ in range(3):
                job = await served.submit(scale=2, webhook_url=receiver.url("/hook"))
                await until(served, job, lambda webhook: webhook["delivered_ms"])
            assert len(stuck.received) == 2
            assert {(await webhook_of(served, job))["attempts"] for job in hanging} == {0}


async def test_a_receiver_that_hangs_is_given_its_time(start: Start, receiver: Remote) -> None:
    receiver.answers["/hook"] = hang
    async with start(**open_to(receiver, webhook_timeout_seconds=0.1)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/hook"))
        webhook = await until(served, job, lambda webhook: webhook["attempts"])
    assert webhook["last_answer"] == "remote_too_slow"


def endless(status: int) -> Answer:
    """A body without an end."""

    async def answer(writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(head(status, {}))
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    return answer


def trickling(status: int) -> Answer:
    """A body that never comes."""

    async def answer(writer: asyncio.StreamWriter, request: Received) -> None:
        writer.write(head(status, {"Content-Length": "9"}))
        await writer.drain()
        await hang(writer, request)

    return answer


@pytest.mark.parametrize("body", [endless, trickling])
async def test_the_status_counts_whatever_the_body_does(
    start: Start, receiver: Remote, body: Callable[[int], Answer]
) -> None:
    receiver.answers["/hook"] = body(200)
    async with start(**open_to(receiver)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/hook"))
        webhook = await until(served, job, lambda webhook: webhook["delivered_ms"])
    assert (webhook["attempts"], webhook["last_answer"]) == (1, "200")


async def test_without_a_secret_the_parameter_is_refused(
    served: RunningGateway, receiver: Remote
) -> None:
    refused = await served.post_job(scale=2, webhook_url=receiver.url("/hook"))
    members = assert_problem(refused, 400, "webhooks_disabled")
    assert "ANYSR_WEBHOOK_SECRETS" in members["detail"]
    assert (await served.stats()).queued == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/hook",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/hook",
        "http://[::ffff:10.0.0.1]/hook",
        "http://2130706433/hook",
        "http://user:key@example.com/hook",
        "ftp://example.com/hook",
        "http://example.com:22/hook",
        "hook",
    ],
)
async def test_a_private_or_strange_url_is_refused_at_once(
    start: Start, worker: ScriptedWorker, url: str
) -> None:
    async with start(webhook_secrets=SECRET) as served:
        refused = await served.post_job(scale=2, webhook_url=url)
        assert_problem(refused, 403, "address_refused")
        assert worker.claims == []
        assert (await served.stats()).queued == 0


async def test_a_name_with_a_private_address_is_refused_at_the_delivery(
    start: Start, receiver: Remote
) -> None:
    settings = open_to(receiver, outbound_allow_private=())
    async with start(**settings) as served:
        url = receiver.url("/hook", host="localhost")
        job = await served.submit(scale=2, webhook_url=url)
        webhook = await until(served, job, lambda webhook: webhook["attempts"])
    assert webhook["last_answer"] == "address_refused"
    assert receiver.received == []


async def test_upscale_has_no_webhook(served: RunningGateway) -> None:
    refused = await served.upscale(scale=2, webhook_url="https://example.com/")
    assert "POST /jobs alone" in assert_problem(refused, 422, "invalid_request")["detail"]


async def test_a_webhook_outlives_gateway_worker_and_expiry(
    start: Start,
    receiver: Remote,
    raw_redis: Redis,
    keys: Keys,
) -> None:
    receiver.serves("/hook", b"", 502)
    settings = open_to(receiver)
    async with start(**settings) as served:
        jobs = [await served.submit(scale=2, webhook_url=receiver.url("/hook")) for _ in range(3)]
        for job in jobs:
            await until(served, job, lambda webhook: webhook["attempts"])
        assert {await raw_redis.ttl(keys.record(job["id"])) for job in jobs} == {-1}
    receiver.serves("/hook", b"", 204)
    await hurry(raw_redis, keys)
    async with start(**settings) as served:
        for job in jobs:
            await until(served, job, lambda webhook: webhook["delivered_ms"])
            assert await raw_redis.ttl(keys.record(job["id"])) > 0
    assert await raw_redis.keys(keys.deliveries + "*") == []
    assert await raw_redis.exists(keys.delivery_hosts) == 0


async def test_the_lease_of_a_gateway_that_died_returns(
    start: Start,
    receiver: Remote,
    raw_redis: Redis,
    keys: Keys,
    queue: RedisQueue,
) -> None:
    receiver.answers["/hook"] = hang
    async with start(**open_to(receiver, webhook_timeout_seconds=30)) as served:
        job = await served.submit(scale=2, webhook_url=receiver.url("/hook"))
        await eventually(lambda: receiver.received, "the first attempt")
        taken, _ = await queue.deliveries.claim(10, 10, {}, LEASES_S)
        assert taken == []  # one gateway at a time
        await hurry(raw_redis, keys)  # as the lease runs out
        (delivery,), _ = await queue.deliveries.claim(10, 10, {}, LEASES_S)
        assert delivery.id == job["id"]


async def test_a_repeated_submission_announces_its_end_once(start: Start, receiver: Remote) -> None:
    headers = {"Content-Type": "image/png", "Idempotency-Key": "k"}
    async with start(**open_to(receiver)) as served:
        for _ in range(3):
            answer = await served.client.post(
                "/jobs",
                params={"scale": 2, "webhook_url": receiver.url("/hook")},
                content=drawn(),
                headers=headers,
            )
            assert answer.status_code == 202
        await until(served, answer.json(), lambda webhook: webhook["delivered_ms"])
    assert len(receiver.received) == 1


async def test_the_command_lists_and_resends_what_was_given_up(
    start: Start, receiver: Remote
) -> None:
    async def command(*words: str, key: str = ADMIN) -> tuple[int, str]:
        options = ["--server", f"http://127.0.0.1:{served.port}", "--admin-key", key]
        done = await asyncio.to_thread(CliRunner().invoke, app, ["webhooks", *words, *options])
        return done.exit_code, done.output

    receiver.serves("/hook", b"", 410)
    async with start(**open_to(receiver)) as served:
        jobs = [await served.submit(scale=2, webhook_url=receiver.url("/hook")) for _ in range(2)]
        for job in jobs:
            await until(served, job, lambda webhook: webhook["given_up_ms"])
        status, listed = await command("dead")
        assert status == 0
        assert listed.count("410") == 2
        assert "admin key" in (await command("dead", key="wrong"))[1]
        assert (await command("resend"))[0] == 2
        receiver.serves("/hook", b"", 204)
        assert await command("resend", jobs[0]["id"]) == (0, "1 will be sent again\n")
        assert await command("resend", "--all") == (0, "1 will be sent again\n")
        for job in jobs:
            await until(served, job, lambda webhook: webhook["delivered_ms"])
