"""Durable jobs: confirmed by a real server's disk, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from redis.asyncio import Redis

from benchmarks.durability.server import APPENDING, TrialServer, running
from jobs.embedded_redis import Binary, find_binary
from jobs.errors import NotDurable, NotDurableYet
from jobs.job import Job, JobStatus
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from jobs.terms import Idempotency, Terms

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
DURABLE = Terms(durable=True)
KEYED = Terms(Idempotency("key", "same"), durable=True)


@pytest.fixture(scope="module", params=list(Binary))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrialServer]:
    executable = find_binary(request.param)
    if executable is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp("durable") / "server"
    with running(TrialServer(executable, folder, {**APPENDING, "appendfsync": "always"})) as one:
        yield one


@pytest.fixture
def durable_queue(
    server: TrialServer, queue_settings: QueueSettings, open_queue: OpenQueue
) -> Iterator[RedisQueue]:
    """A queue on a server that can be durable, whose settings tests may change."""
    yield open_queue(server.url, queue_settings)
    with server.client() as client:
        client.config_set("appendfsync", "always")
        client.config_set("no-appendfsync-on-rewrite", "no")
        client.config_set("appendonly", "yes")


async def test_a_durable_job_is_in_the_file_with_its_picture(
    server: TrialServer, durable_queue: RedisQueue, make_job: MakeJob
) -> None:
    small, large = make_job(), make_job()
    for job, picture in ((small, b"small picture"), (large, b"large picture" * 30_000)):
        view = await durable_queue.submissions.submit(job, picture, terms=DURABLE)
        assert (view.job.id, view.status) == (job.id, JobStatus.QUEUED)
        written = b"".join(
            file.read_bytes() for file in server.folder.rglob("*aof*") if file.is_file()
        )
        assert picture in written
        assert job.id.encode() in written
    assert (await durable_queue.submissions.submit(small, b"", terms=DURABLE)).job == small


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("appendfsync", "no"),
        ("no-appendfsync-on-rewrite", "yes"),
    ],
)
async def test_a_server_that_cannot_promise_it_gets_no_job(
    server: TrialServer, durable_queue: RedisQueue, make_job: MakeJob, name: str, value: str
) -> None:
    with server.client() as client:
        client.config_set(name, value)
    with pytest.raises(
        NotDurable, match=f"'{name} {value}'; durable jobs need .*always"
    ) as refused:
        await durable_queue.submissions.submit(make_job(), b"picture", terms=DURABLE)
    assert "\n" not in str(refused.value)
    assert (await durable_queue.submissions.stats()).queued == 0
    await durable_queue.submissions.submit(make_job(), b"picture")
    assert (await durable_queue.submissions.stats()).queued == 1


async def test_a_setting_that_changes_between_check_and_job_is_noticed(
    server: TrialServer, durable_queue: RedisQueue, make_job: MakeJob
) -> None:
    """Without a new connection nothing is asked before: the answer behind the job tells."""
    submissions = durable_queue.submissions
    for _ in range(2):  # the connection of the first check is a new one
        await submissions.submit(make_job(), b"picture", terms=DURABLE)
    with server.client() as client:
        client.config_set("appendfsync", "everysec")
    withdrawn, kept = make_job(), make_job()
    with pytest.raises(NotDurableYet):
        await submissions.submit(withdrawn, b"picture", terms=DURABLE)
    assert (await submissions.view(withdrawn.id)).status is JobStatus.CANCELLED
    with pytest.raises(NotDurableYet):
        await submissions.submit(kept, b"picture", terms=KEYED)
    assert (await submissions.view(kept.id)).status is JobStatus.QUEUED
    assert KEYED.idempotency is not None
    with pytest.raises(NotDurableYet):
        await submissions.earlier(KEYED.idempotency, durable=True)
    with server.client() as client:
        client.config_set("appendfsync", "always")
    again = await submissions.submit(make_job(), b"picture", terms=KEYED)
    assert again.job.id == kept.id
    found = await submissions.earlier(KEYED.idempotency, durable=True)
    assert found is not None
    assert found.job.id == kept.id


async def test_a_new_connection_is_asked_again(
    server: TrialServer, durable_queue: RedisQueue, make_job: MakeJob
) -> None:
    submissions = durable_queue.submissions
    for _ in range(2):
        await submissions.submit(make_job(), b"picture", terms=DURABLE)
    with server.client() as client:
        client.config_set("appendfsync", "everysec")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    refused = make_job()
    with pytest.raises((NotDurable, NotDurableYet)):
        await submissions.submit(refused, b"picture", terms=DURABLE)
    with pytest.raises(NotDurable):
        await submissions.submit(make_job(), b"picture", terms=DURABLE)


async def test_replicas_that_are_not_there_confirm_nothing(
    server: TrialServer,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobs.durability.FSYNC_TIMEOUT_S", 0.05)
    settings = queue_settings.model_copy(update={"durable_replicas": 1})
    queue = open_queue(server.url, settings)
    with pytest.raises((NotDurable, NotDurableYet)):
        await queue.submissions.submit(make_job(), b"picture", terms=DURABLE)
    assert (await queue.submissions.stats()).queued == 0


async def test_pictures_on_a_server_of_their_own_are_checked_as_well(
    server: TrialServer,
    redis_url: str,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    """`redis_url` is a server without an append-only file."""
    apart = open_queue(server.url, queue_settings.model_copy(update={"blob_url": redis_url}))
    with pytest.raises(NotDurable):
        await apart.submissions.submit(make_job(), b"picture", terms=DURABLE)
    assert (await apart.submissions.stats()).queued == 0
    both = open_queue(server.url, queue_settings.model_copy(update={"blob_url": server.url}))
    job = make_job()
    await both.submissions.submit(job, b"picture", terms=DURABLE)
    claim = await both.leases.claim("w", 0)
    assert claim is not None
    assert (claim.job, claim.payload) == (job, b"picture")


async def test_the_private_server_is_none(
    queue: RedisQueue, make_job: MakeJob, queue_settings: QueueSettings, raw_redis: Redis
) -> None:
    with pytest.raises(NotDurable, match="'appendonly no'"):
        await queue.submissions.check_durable()
    job = make_job()
    with pytest.raises(NotDurable):
        await queue.submissions.submit(job, b"picture", terms=DURABLE)
    assert not await raw_redis.exists(Keys(queue_settings.namespace).payload(job.id))
