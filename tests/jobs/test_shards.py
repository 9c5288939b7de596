"""A queue that is divided among shards: where jobs go, who finds them, and what is not divided."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from jobs.client_limits import ClientLimits
from jobs.connected_queue import connect_queue
from jobs.connection import SteadyRedis
from jobs.embedded_redis import embedded_redis
from jobs.errors import IdempotencyKeyReused, QuotaExceeded, TooManyJobs
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import Job, JobStatus, JobView
from jobs.keys import Keys
from jobs.queue import JobQueue, NoTime
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from jobs.shards.ids import of_one_request, placed, shard_of
from jobs.shards.queue import ShardedQueue
from jobs.terms import Idempotency, Terms
from tests.jobs.queue_walk import FACTS, QueueWalk
from tests.support.jobs import admitted_job
from tests.support.redis_server import expire_lease

MakeJob = Callable[..., Job]
Open = Callable[..., ShardedQueue]
SHARDS = 3


@pytest.fixture
def make_job() -> MakeJob:
    """Return a factory of jobs with ids as requests give them."""

    def make(**changes: object) -> Job:
        return admitted_job(**{"id": uuid.uuid4().hex, "model": "anysr-s", **changes})

    return make


@pytest.fixture
async def open_shards(redis_url: str) -> AsyncIterator[Open]:
    """Return a function that opens a divided queue on one server, or at other URLs."""
    opened: list[ShardedQueue] = []
    namespace = f"test-{uuid.uuid4().hex}"

    def open_one(url: str = redis_url, **changes: object) -> ShardedQueue:
        wanted = {"namespace": namespace, "queue_shards": SHARDS, **changes}
        queue = connect_queue(url, QueueSettings.model_validate(wanted))
        assert isinstance(queue, ShardedQueue)
        opened.append(queue)
        return queue

    yield open_one
    for queue in opened:
        await queue.close()


@pytest.fixture
def shards(open_shards: Open) -> ShardedQueue:
    """An empty queue of three shards."""
    return open_shards()


async def beat(queue: JobQueue, name: str, *capabilities: str) -> None:
    heartbeat = WorkerHeartbeat(name, True, (), {}, capabilities=capabilities or ("anysr-s",))
    await queue.registry.publish_heartbeat(heartbeat)


def places(views: list[JobView]) -> list[int]:
    return [shard_of(view.job.id, SHARDS) for view in views]


async def test_one_shard_is_an_undivided_queue(redis_url: str) -> None:
    queue = connect_queue(redis_url, QueueSettings())
    assert isinstance(queue, RedisQueue)
    await queue.close()


async def test_every_call_of_a_queue_works(shards: ShardedQueue, make_job: MakeJob) -> None:
    await QueueWalk(shards, make_job).all()


async def test_pictures_of_shards_can_be_apart(
    open_shards: Open, redis_url: str, make_job: MakeJob
) -> None:
    await QueueWalk(open_shards(blob_url=redis_url), make_job).all()


async def test_shards_on_servers_of_their_own(open_shards: Open, make_job: MakeJob) -> None:
    with embedded_redis() as one, embedded_redis() as two:
        queue = open_shards(f"{one},{two}", redis_url=f"{one},{two}", queue_shards=2)
        await QueueWalk(queue, make_job).all()


@pytest.mark.parametrize("number", [0, 2])
def test_an_id_tells_its_shard(number: int) -> None:
    request_id = uuid.uuid4().hex
    job_id = placed(request_id, number)
    assert shard_of(job_id, SHARDS) == number
    assert of_one_request(job_id, request_id)
    assert not of_one_request(job_id, uuid.uuid4().hex)
    assert re.fullmatch("[0-9a-f]{32}", job_id)


@pytest.mark.parametrize("name", ["", "x", "job-1", "²²²", "0af7651916cd43dd8448eb211c80319c"])
def test_any_name_has_a_shard(name: str) -> None:
    assert shard_of(name, SHARDS) in range(SHARDS)


async def test_jobs_go_to_all_shards(shards: ShardedQueue, make_job: MakeJob) -> None:
    views = [await shards.submissions.submit(make_job(), b"picture") for _ in range(40)]
    assert set(places(views)) == set(range(SHARDS))
    assert (await shards.submissions.stats()).queued == 40
    assert (await shards.submissions.view(views[0].job.id)).job == views[0].job


async def test_a_job_goes_where_there_is_less_work(shards: ShardedQueue, make_job: MakeJob) -> None:
    await shards.shards[0].submissions.submit(
        make_job(id=placed("busy---", 0), cheapest_ms=1e3), b"picture"
    )
    await shards.submissions.stats()
    views = [await shards.submissions.submit(make_job(), b"picture") for _ in range(30)]
    assert 0 not in places(views)


async def test_a_job_goes_where_there_are_workers_for_it(
    shards: ShardedQueue, make_job: MakeJob
) -> None:
    for name in ("one", "two"):
        await beat(shards, name)
    await shards.registry.heartbeats()
    home = await shards.registry._home.shard()
    views = [await shards.submissions.submit(make_job(), b"picture") for _ in range(10)]
    assert set(places(views)) == {home.number}


async def test_what_one_shard_refuses_another_takes(
    shards: ShardedQueue, make_job: MakeJob
) -> None:
    """With room for one job in each, every pair of shards has room after the first job."""
    tight = {"budget_ms": 100.0, "cheapest_ms": 60.0}
    accepted = 0
    for _ in range(30):
        try:
            await shards.submissions.submit(make_job(**tight), b"picture", workers=SHARDS)
        except NoTime:
            continue
        accepted += 1
    stats = [await shard.submissions.stats() for shard in shards.shards]
    assert [one.queued for one in stats] == [1, 1, 1]
    assert accepted == SHARDS


async def test_a_key_gets_its_job_again_in_whichever_gateway(
    open_shards: Open, make_job: MakeJob
) -> None:
    gateways = [open_shards() for _ in range(4)]
    keys = [Idempotency(f"key-{n}", "print") for n in range(6)]
    for key in keys:
        terms = Terms(key)
        views = await asyncio.gather(
            *(one.submissions.submit(make_job(), b"picture", terms=terms) for one in gateways)
        )
        assert len({view.job.id for view in views}) == 1
        assert await gateways[0].submissions.earlier(key) is not None
        with pytest.raises(IdempotencyKeyReused):
            await gateways[1].submissions.earlier(replace(key, fingerprint="another"))
    assert (await gateways[0].submissions.stats()).queued == len(keys)
    assert len({shard_of(key.digest, SHARDS) for key in keys}) > 1


async def test_a_job_whose_id_is_known_beforehand_is_found_by_it(
    shards: ShardedQueue, make_job: MakeJob
) -> None:
    fixed = Terms(fixed_id=True)
    for name in (uuid.uuid4().hex for _ in range(6)):
        for _ in range(2):  # whoever submits it again
            view = await shards.submissions.submit(make_job(id=name), b"picture", terms=fixed)
            assert view.job.id == name
        assert (await shards.submissions.view(name)).job.id == name
    assert (await shards.submissions.stats()).queued == 6


async def test_limits_of_a_client_hold_over_all_shards(
    open_shards: Open, make_job: MakeJob
) -> None:
    limits = ClientLimits(client="shop", jobs_waiting=4, pixels_per_day=80 * 60 * 6)
    gateways = [open_shards(), open_shards()]
    views = []
    for n in range(4):
        one = gateways[n % 2].submissions
        views.append(await one.submit(make_job(), b"picture", limits=limits))
    with pytest.raises(TooManyJobs):
        await gateways[0].submissions.submit(make_job(), b"picture", limits=limits)
    for view in views[:2]:
        await gateways[0].submissions.cancel(view.job.id)
    for _ in range(2):
        await gateways[1].submissions.submit(make_job(), b"picture", limits=limits)
    await gateways[0].submissions.cancel(views[2].job.id)
    with pytest.raises(QuotaExceeded):
        await gateways[0].submissions.submit(make_job(), b"picture", limits=limits)


async def test_a_refused_or_repeated_job_costs_its_client_nothing(
    shards: ShardedQueue, make_job: MakeJob
) -> None:
    limits = ClientLimits(client="shop", pixels_per_day=80 * 60)
    late = make_job(budget_ms=10.0, cheapest_ms=60.0)
    with pytest.raises(NoTime):
        await shards.submissions.submit(late, b"picture", workers=SHARDS, limits=limits)
    terms = Terms(Idempotency("key", "print"))
    for _ in range(3):
        await shards.submissions.submit(make_job(), b"picture", limits=limits, terms=terms)
    with pytest.raises(QuotaExceeded):
        await shards.submissions.submit(make_job(), b"picture", limits=limits)


async def test_workers_have_homes_in_all_shards(open_shards: Open) -> None:
    workers = [open_shards() for _ in range(6)]
    for n, worker in enumerate(workers):
        await beat(worker, f"w{n}")
    in_shards = [await shard.workers() for shard in workers[0].shards]
    assert in_shards == [2, 2, 2]
    found = await workers[0].registry.heartbeats()
    assert [one.worker_id for one in found] == [f"w{n}" for n in range(6)]


async def test_a_worker_that_starts_again_goes_where_one_is_missing(open_shards: Open) -> None:
    workers = [open_shards() for _ in range(3)]
    for n, worker in enumerate(workers):
        await beat(worker, f"w{n}")
    gone = await workers[1].registry._home.shard()
    await workers[1].registry.retire_worker("w1")
    again = open_shards()
    await beat(again, "w1")
    assert (await again.registry._home.shard()).number == gone.number


async def test_an_idle_worker_steals(open_shards: Open, make_job: MakeJob) -> None:
    """One worker runs the jobs of all shards, and each end reaches whoever waits for it."""
    gateway, worker = open_shards(), open_shards()
    views = [await gateway.submissions.submit(make_job(), b"picture") for _ in range(9)]
    assert len(set(places(views))) > 1
    for _ in views:
        claim = await worker.leases.claim("one", 10.0)
        assert claim is not None
        await worker.leases.complete(claim, FACTS, claim.job.id.encode())
    for view in views:
        ended = await gateway.submissions.wait(view.job.id, 10.0)
        assert ended.status is JobStatus.SUCCEEDED
        assert await gateway.submissions.result(ended) == view.job.id.encode()


async def test_a_job_of_a_dead_worker_is_run_again_though_its_shard_has_no_worker(
    open_shards: Open, raw_redis: SteadyRedis, make_job: MakeJob
) -> None:
    queue = open_shards()
    home = await queue.registry._home.shard()
    other = queue.shards[(home.number + 1) % SHARDS]
    await other.submissions.submit(make_job(id=placed("lost---", other.number)), b"picture")
    lost = await other.leases.claim("dead", 10.0)
    assert lost is not None
    await expire_lease(raw_redis, other.keys, lost)
    claim = await queue.leases.claim("one", 30.0)
    assert claim is not None
    assert (claim.job.id, claim.attempt) == (lost.job.id, 2)


async def test_a_job_that_comes_while_a_worker_waits_is_stolen_once(
    open_shards: Open, make_job: MakeJob
) -> None:
    gateway, workers = open_shards(), [open_shards() for _ in range(3)]
    claiming = [asyncio.create_task(w.leases.claim(str(n), 10.0)) for n, w in enumerate(workers)]
    views = [
        await shard.submissions.submit(make_job(id=placed(f"job-{n}---", shard.number)), b"picture")
        for n, shard in enumerate([gateway.shards[1]] * 3)
    ]
    claims = await asyncio.gather(*claiming)
    assert Counter(claim.job.id for claim in claims if claim) == Counter(
        view.job.id for view in views
    )


async def test_a_stopping_worker_waits_no_longer(shards: ShardedQueue) -> None:
    stopping = asyncio.Event()
    claiming = asyncio.create_task(shards.leases.claim("one", 3600.0, stopping))
    await asyncio.sleep(0)
    stopping.set()
    assert await claiming is None


async def test_a_shard_that_is_away_stops_no_other(
    open_shards: Open, redis_url: str, make_job: MakeJob
) -> None:
    away = "redis://127.0.0.1:1"
    queue = open_shards(f"{redis_url},{away}", redis_url=f"{redis_url},{away}", queue_shards=2)
    await beat(queue, "one")
    await queue.registry.heartbeats()
    views = [await queue.submissions.submit(make_job(), b"picture") for _ in range(6)]
    assert places(views) == [0] * 6
    assert (await queue.submissions.stats()).queued == 6
    claim = await queue.leases.claim("one", 5.0)
    assert claim is not None
    assert await queue.leases.complete(claim, FACTS, b"result")


async def test_keys_of_a_shard_have_its_tag(
    shards: ShardedQueue, raw_redis: SteadyRedis, make_job: MakeJob
) -> None:
    view = await shards.submissions.submit(make_job(), b"picture")
    namespace = shards.shards[0].keys.namespace
    keys = Keys(namespace, shard_of(view.job.id, SHARDS))
    assert keys.tag == f"{{{namespace}:{keys.shard}}}"
    assert await raw_redis.exists(keys.record(view.job.id), keys.payload(view.job.id)) == 2
