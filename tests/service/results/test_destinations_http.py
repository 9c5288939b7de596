"""Pictures that the gateway puts where their callers want them: at URLs and in buckets of a real
store, again after failures and restarts, before the webhook, and nowhere that is closed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from cli.main import app
from jobs.errors import CorruptImage
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.service.gateway_process import gateway_process
from tests.service.harness import (
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
)
from tests.support.deliveries import hurry
from tests.support.remote import Remote, hang, remote_server
from tests.support.s3 import (
    POWERLESS_KEY,
    POWERLESS_SECRET,
    S3Server,
    buckets_file,
    s3_server,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("worker")

SIGNED = "/out/a.png?X-Amz-Signature=confidential"
SECRET = "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
ADMIN = "an admin key of tests"
BEARER = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def keys(queue_settings: QueueSettings) -> Keys:
    """The names in Redis of the fixture `queue`."""
    return Keys(queue_settings.namespace)


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    """A host that takes every picture at /out/a.png, and every webhook at /hook."""
    async with remote_server() as remote:
        remote.serves("/out/a.png", b"")
        remote.serves("/hook", b"", 204)
        yield remote


def open_to(remote: Remote, **settings: Any) -> dict[str, Any]:
    """Settings of a gateway that may put pictures at this host."""
    return {
        "result_hosts": "127.0.0.1, localhost",
        "result_http": True,
        "outbound_allow_private": "127.0.0.0/8",
        "outbound_ports": (remote.port,),
        "webhook_secrets": SECRET,
        "admin_key": ADMIN,
        **settings,
    }


async def job_of(served: RunningGateway, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await served.client.get(job["links"]["self"])).json()
    return found


async def until(
    served: RunningGateway, job: dict[str, Any], fulfilled: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Wait until a job fulfils a condition, and return its destination."""

    async def found() -> bool:
        return bool(fulfilled(await job_of(served, job)))

    await eventually(found, f"the delivery of job {job['id']}")
    destination: dict[str, Any] = (await job_of(served, job))["destination"]
    return destination


def stored(job: dict[str, Any]) -> bool:
    return bool(job["destination"]["state"] == "stored")


def given_up(job: dict[str, Any]) -> bool:
    return bool(job["destination"]["state"] == "given_up")


def tried(times: int = 1) -> Callable[[dict[str, Any]], bool]:
    return lambda job: job["destination"]["attempts"] >= times


def announced(job: dict[str, Any]) -> bool:
    return job["webhook"]["delivered_ms"] is not None


def content_of(remote: Remote) -> dict[str, Any]:
    """The message of the last webhook."""
    content: dict[str, Any] = json.loads(hooks(remote)[-1][1])
    return content


def hooks(remote: Remote) -> list[tuple[str, bytes]]:
    """Id and body of the webhooks that came."""
    came = [received for received in remote.received if received.path == "/hook"]
    return [(received.headers["webhook-id"], received.body) for received in came]


async def test_a_picture_is_put_at_a_url(start: Start, remote: Remote) -> None:
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, format="webp", result_url=remote.url(SIGNED))
        assert job["destination"] == {
            "place": "http://127.0.0.1",
            "state": "waiting",
            "attempts": 0,
            "error": None,
            "next_attempt_ms": None,
            "stored_ms": None,
            "given_up_ms": None,
        }
        destination = await until(served, job, stored)
        picture = (await served.client.get(job["links"]["result"])).content
    assert (destination["attempts"], destination["error"]) == (1, None)
    assert destination["next_attempt_ms"] is None
    assert destination["stored_ms"] > 0
    (put,) = remote.received
    assert (put.method, put.path, put.body) == ("PUT", SIGNED, picture)
    assert put.headers["content-type"] == "image/webp"
    assert put.headers["content-length"] == str(len(picture))
    assert "transfer-encoding" not in put.headers


async def test_a_large_picture_arrives_whole(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    worker.picture = os.urandom(3_000_001)
    async with start(**open_to(remote)) as served:
        await until(
            served, await served.submit(scale=2, result_url=remote.url("/out/a.png")), stored
        )
    assert remote.received[0].body == worker.picture


async def test_a_presigned_url_is_in_no_record_answer_or_log(
    start: Start, remote: Remote, raw_redis: Redis, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    remote.serves("/out/a.png", b"confidential", 500)
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, result_url=remote.url(SIGNED))
        await until(served, job, tried())
        record: Any = await raw_redis.hgetall(keys.record(job["id"]))
        assert b"confidential" not in b" ".join(record.values())
        assert await raw_redis.get(keys.result_url(job["id"])) == remote.url(SIGNED).encode()
        assert 0 < await raw_redis.ttl(keys.result_url(job["id"])) <= 4200
        assert "confidential" not in json.dumps(await job_of(served, job))
        remote.serves("/out/a.png", b"")
        await hurry(raw_redis, keys)
        await until(served, job, stored)
        assert await raw_redis.exists(keys.result_url(job["id"])) == 0
    ours = ("service", "jobs", "anysr")
    lines = [json.dumps(vars(r), default=str) for r in caplog.records if r.name.startswith(ours)]
    assert [line for line in lines if "result delivered" in line or '"delivered"' in line]
    assert not [line for line in lines if "confidential" in line]


async def test_the_webhook_follows_the_picture(
    start: Start, remote: Remote, raw_redis: Redis, keys: Keys
) -> None:
    remote.serves("/out/a.png", b"", 503)
    urls = {"result_url": remote.url(SIGNED), "webhook_url": remote.url("/hook")}
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, **urls)
        failed = await until(served, job, tried())
        assert failed["state"] == "waiting"
        assert failed["error"]["code"] == "remote_refused"
        assert failed["error"]["remote_status"] == 503
        assert failed["next_attempt_ms"] > 0
        assert hooks(remote) == []
        assert (await job_of(served, job))["webhook"]["next_attempt_ms"] is None
        assert await raw_redis.ttl(keys.record(job["id"])) == -1
        remote.serves("/out/a.png", b"")
        await hurry(raw_redis, keys)
        await until(served, job, announced)
        assert await raw_redis.ttl(keys.record(job["id"])) > 0
    content = content_of(remote)
    assert content["type"] == "job.succeeded"
    assert content["data"]["destination"]["state"] == "stored"
    assert content["data"]["destination"]["attempts"] == 2


@pytest.mark.parametrize("status", [307, 400, 403, 404, 410])
async def test_what_refuses_this_request_is_given_up_at_once(
    start: Start, remote: Remote, status: int
) -> None:
    """And may be sent again by an operator, after which the caller hears of it."""
    remote.serves("/out/a.png", b"", status, Location=remote.url("/elsewhere"))
    urls = {"result_url": remote.url(SIGNED), "webhook_url": remote.url("/hook")}
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, **urls)
        refused = await until(served, job, announced)
        assert (refused["state"], refused["attempts"]) == ("given_up", 1)
        assert refused["error"]["remote_status"] == status
        assert content_of(remote)["data"]["destination"]["state"] == "given_up"
        dead = (await served.client.get("/admin/webhooks/dead", headers=BEARER)).json()
        assert [d["id"] for d in dead] == [job["id"]]
        listed = await asyncio.to_thread(_listed, served.port)
        assert "http://127.0.0.1" in listed
        assert str(status) in listed
        remote.serves("/out/a.png", b"")
        again = f"/admin/webhooks/{job['id']}/resend"
        assert (await served.client.post(again, headers=BEARER)).status_code == 202
        await until(served, job, lambda job: stored(job) and announced(job))
        assert (await served.client.get("/admin/webhooks/dead", headers=BEARER)).json() == []
    assert content_of(remote)["data"]["destination"]["state"] == "stored"
    first, second = (identity for identity, _ in hooks(remote))
    assert first != second  # a receiver drops what it has had already
    assert "/elsewhere" not in {received.path for received in remote.received}


def _listed(port: int) -> str:
    options = ["--server", f"http://127.0.0.1:{port}", "--admin-key", ADMIN]
    done = CliRunner().invoke(app, ["webhooks", "dead", *options], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


async def test_a_host_that_hangs_is_given_its_time(start: Start, remote: Remote) -> None:
    remote.answers["/out/a.png"] = hang
    async with start(**open_to(remote, result_timeout_seconds=0.2)) as served:
        job = await served.submit(scale=2, result_url=remote.url(SIGNED))
        failed = await until(served, job, tried())
    assert (failed["state"], failed["error"]["code"]) == ("waiting", "remote_too_slow")


async def test_a_gateway_that_stops_gives_it_back_at_once(start: Start, remote: Remote) -> None:
    remote.answers["/out/a.png"] = hang
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, result_url=remote.url(SIGNED))
        await eventually(lambda: remote.received, "the first attempt")
    remote.serves("/out/a.png", b"")
    async with start(**open_to(remote)) as served:
        destination = await until(served, job, stored)
    assert destination["attempts"] == 2


async def test_it_ends_when_the_picture_has_expired(
    start: Start, remote: Remote, raw_redis: Redis, keys: Keys, queue: RedisQueue
) -> None:
    remote.serves("/out/a.png", b"", 500)
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, result_url=remote.url(SIGNED))
        await until(served, job, tried())
        await queue.submissions.drop_results([await queue.submissions.view(job["id"])])
        await hurry(raw_redis, keys)
        ended = await until(served, job, given_up)
    assert ended["error"]["code"] == "result_expired"
    assert ended["next_attempt_ms"] is None


async def test_it_is_tried_for_as_long_as_a_picture_is_kept(
    start: Start, remote: Remote, raw_redis: Redis, keys: Keys
) -> None:
    remote.serves("/out/a.png", b"", 500)
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, result_url=remote.url(SIGNED))
        await until(served, job, tried())
        long_ago = float(await raw_redis.hget(keys.record(job["id"]), "result_since_ms") or 0)
        await raw_redis.hset(keys.record(job["id"]), "result_since_ms", str(long_ago - 600_000))
        await hurry(raw_redis, keys)
        ended = await until(served, job, given_up)
    assert (ended["attempts"], ended["error"]["remote_status"]) == (2, 500)


async def test_a_job_without_a_picture_puts_nothing(
    start: Start, worker: ScriptedWorker, remote: Remote, raw_redis: Redis, keys: Keys
) -> None:
    worker.failure = CorruptImage("torn")
    urls = {"result_url": remote.url(SIGNED), "webhook_url": remote.url("/hook")}
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, **urls)
        destination = await until(served, job, announced)
        assert await raw_redis.exists(keys.result_url(job["id"])) == 0
    assert (destination["state"], destination["attempts"]) == ("no_picture", 0)
    assert content_of(remote)["type"] == "job.failed"
    assert {received.path for received in remote.received} == {"/hook"}


async def test_a_gateway_that_is_killed_leaves_it_to_another(
    start: Start,
    remote: Remote,
    redis_url: str,
    queue_settings: QueueSettings,
    raw_redis: Redis,
    keys: Keys,
) -> None:
    remote.answers["/out/a.png"] = hang
    settings = open_to(remote)
    with gateway_process(redis_url, queue_settings.namespace, **settings) as killed:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{killed.port}") as client:

            async def accepted() -> bool:
                answer = await client.post(
                    "/jobs",
                    params={"scale": 2, "result_url": remote.url(SIGNED)},
                    content=drawn(),
                    headers={"Content-Type": "image/png", "Idempotency-Key": "once"},
                )
                return answer.status_code == 202

            await eventually(accepted, "a gateway that knows its workers")
        await eventually(lambda: remote.received, "the first attempt")
        os.kill(killed.pid, signal.SIGKILL)
    remote.serves("/out/a.png", b"")
    async with start(**settings) as served:
        waiting: Any = await raw_redis.zrange(f"{keys.deliveries}:127.0.0.1", 0, -1)
        (held,) = waiting
        job = {"links": {"self": f"/jobs/{held.decode()}"}, "id": held.decode()}
        assert not stored(await job_of(served, job))  # until the lease of the dead one runs out
        await hurry(raw_redis, keys)
        await until(served, job, stored)
    assert len(remote.received) == 2
    assert remote.received[0].body == remote.received[1].body


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.com/a.png", "result_not_allowed"),
        ("https://10.0.0.1/a.png", "result_not_allowed"),
        ("http://127.0.0.1/a.png", "address_refused"),
        ("ftp://127.0.0.1/a.png", "address_refused"),
        ("https://user:key@127.0.0.1/a.png", "address_refused"),
        ("https://127.0.0.1:22/a.png", "address_refused"),
        ("https://127.0.0.1/a.png", "address_refused"),
        ("a.png", "address_refused"),
    ],
)
async def test_a_url_that_is_not_allowed_is_refused_at_once(
    start: Start, worker: ScriptedWorker, remote: Remote, url: str, code: str
) -> None:
    async with start(**open_to(remote, outbound_allow_private=(), result_http=False)) as served:
        assert_problem(await served.post_job(scale=2, result_url=url), 403, code)
        assert (await served.stats()).queued == 0
    assert worker.claims == []


async def test_a_name_with_a_private_address_is_refused_at_the_delivery(
    start: Start, remote: Remote
) -> None:
    async with start(**open_to(remote, outbound_allow_private=())) as served:
        url = remote.url(SIGNED, host="localhost")
        job = await served.submit(scale=2, result_url=url)
        failed = await until(served, job, tried())
    assert failed["error"]["code"] == "address_refused"
    assert remote.received == []


async def test_without_settings_nothing_is_put_anywhere(served: RunningGateway) -> None:
    refused = await served.post_job(scale=2, result_url="https://example.com/a.png")
    detail = assert_problem(refused, 403, "result_not_allowed")["detail"]
    assert "ANYSR_RESULT_HOSTS" in detail
    refused = await served.post_job(scale=2, result="s3://photos/a.png")
    assert_problem(refused, 403, "bucket_not_allowed")


async def test_one_destination_and_jobs_alone(start: Start, remote: Remote) -> None:
    async with start(**open_to(remote)) as served:
        both = {"result": "s3://photos/a.png", "result_url": remote.url(SIGNED)}
        refused = await served.post_job(scale=2, **both)
        assert "not both" in assert_problem(refused, 422, "invalid_request")["detail"]
        refused = await served.post_job(scale=2, result=remote.url(SIGNED))
        assert "result_url" in assert_problem(refused, 422, "invalid_request")["detail"]
        for name, value in both.items():
            refused = await served.upscale(None, **{"scale": 2, name: value})
            detail = assert_problem(refused, 422, "invalid_request")["detail"]
            assert detail == f"{name} is a parameter of POST /jobs alone."


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket("pictures")
        yield server


@pytest.fixture
async def with_buckets(
    start: Start, remote: Remote, s3: S3Server, tmp_path: Path
) -> AsyncIterator[RunningGateway]:
    credentials = {"access_key_id": "a", "secret_access_key": "b", "write": True}
    path = buckets_file(
        tmp_path,
        photos=s3.table(bucket="pictures", write=True),
        outbox=s3.table(bucket="pictures", prefix="out/", write=True),
        closed=s3.table(bucket="pictures"),
        denied=s3.table(
            bucket="pictures",
            write=True,
            access_key_id=POWERLESS_KEY,
            secret_access_key=POWERLESS_SECRET,
        ),
        gone={"endpoint": "http://127.0.0.1:9", **credentials},
        missing={"endpoint": remote.url(""), "bucket": "none", **credentials},
        broken={"endpoint": remote.url(""), "bucket": "broken", **credentials},
    )
    remote.serves("/broken/a.png", b"", 500)
    async with start(**open_to(remote, buckets=path)) as served:
        yield served


@pytest.mark.parametrize("key", ["a.png", "out/b b+ü/%41?c#d&e=f;g.png"])
async def test_a_picture_is_put_into_a_bucket(
    with_buckets: RunningGateway, remote: Remote, s3: S3Server, key: str
) -> None:
    place = f"s3://photos/{key}"
    job = await with_buckets.submit(
        scale=2, format="jpeg", result=place, webhook_url=remote.url("/hook")
    )
    destination = await until(with_buckets, job, announced)
    assert (destination["place"], destination["state"]) == (place, "stored")
    found = await obstore.get_async(s3.store("pictures"), key)
    picture = (await with_buckets.client.get(job["links"]["result"])).content
    assert bytes(await found.bytes_async()) == picture
    assert found.attributes["Content-Type"] == "image/jpeg"
    assert content_of(remote)["data"]["destination"] == destination


async def test_what_is_closed_for_writing_is_refused_at_once(with_buckets: RunningGateway) -> None:
    for place, status, code in (
        ("s3://unknown/a.png", 403, "bucket_not_allowed"),
        ("s3://pictures/a.png", 403, "bucket_not_allowed"),  # its name in the store
        ("s3://closed/a.png", 403, "bucket_not_allowed"),
        ("s3://outbox/a.png", 403, "bucket_not_allowed"),
        ("s3://outbox/out/../a.png", 422, "invalid_request"),
        ("s3://photos", 422, "invalid_request"),
    ):
        assert_problem(await with_buckets.post_job(scale=2, result=place), status, code)
    assert (await with_buckets.stats()).queued == 0


async def test_a_store_that_refuses_is_tried_again(with_buckets: RunningGateway) -> None:
    """Its operator may mend what is wrong; the answers are those of the real store for rights, and
    of a scripted one for a bucket that is not there: the real one makes it."""
    expected = {
        "denied": ("bucket_denied", None),
        "gone": ("remote_unreachable", None),
        "missing": ("bucket_not_found", None),
        "broken": ("remote_refused", 500),
    }
    for name, (code, status) in expected.items():
        job = await with_buckets.submit(scale=2, result=f"s3://{name}/a.png")
        failed = await until(with_buckets, job, tried())
        assert failed["state"] == "waiting"
        assert (failed["error"]["code"], failed["error"].get("remote_status")) == (code, status)


async def test_attempts_and_bytes_are_in_the_metrics(start: Start, remote: Remote) -> None:
    async with start(**open_to(remote)) as served:
        job = await served.submit(scale=2, result_url=remote.url(SIGNED))
        await until(served, job, stored)
        remote.serves("/out/a.png", b"", 418)
        await until(served, await served.submit(scale=2, result_url=remote.url(SIGNED)), given_up)
        counts = {
            'anysr_delivery_attempts_total{kind="result",outcome="done"} 1.0',
            'anysr_delivery_attempts_total{kind="result",outcome="4xx"} 1.0',
            'anysr_delivery_duration_seconds_count{kind="result"} 2.0',
            f"anysr_stored_bytes_total {float(len(remote.received[0].body))}",
            "anysr_results_delivered_total 1.0",
            "anysr_result_failures_total 1.0",
            "anysr_results_dead_total 1.0",
            "anysr_results_waiting 0.0",
            "anysr_webhooks_waiting 0.0",
        }

        async def counted() -> bool:
            return counts <= set((await served.client.get("/metrics")).text.splitlines())

        await eventually(counted, "the metrics of a picture and a refusal")


async def test_idempotent_requests_put_a_picture_once(start: Start, remote: Remote) -> None:
    async with start(**open_to(remote)) as served:

        async def submitted() -> dict[str, Any]:
            answer = await served.client.post(
                "/jobs",
                params={"scale": 2, "result_url": remote.url(SIGNED)},
                content=drawn(),
                headers={"Content-Type": "image/png", "Idempotency-Key": "k"},
            )
            assert answer.status_code == 202
            job: dict[str, Any] = answer.json()
            return job

        jobs = await asyncio.gather(*(submitted() for _ in range(3)))
        await until(served, jobs[0], stored)
        assert len({job["id"] for job in jobs}) == 1
    assert len(remote.received) == 1
