"""The queue's order among clients is that of the policy: `goes_first` of scheduling.shares."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from jobs.backlog import ClientLoad, Group
from jobs.embedded_redis import Binary
from jobs.job import Claim, Job
from jobs.keys import Keys
from jobs.queue import Gap
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from scheduling.load import DEMAND_MS, Load, Slots, below_part
from scheduling.shares import goes_first

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
WORKERS = 3
PARTS = {"flood": 0.25, "shop": 0.75}
USED = {"little": 0.0, "too much": 1e9}
"""Times of recent runs, in ms."""
ROUNDING_MS = 0.1
"""Times are stored with three decimals."""


@pytest.fixture
async def keys(raw_redis: Redis, queue_settings: QueueSettings) -> Keys:
    """The names of a queue with WORKERS live workers."""
    keys = Keys(queue_settings.namespace)
    await raw_redis.zadd(keys.workers, {f"w{n}": "+inf" for n in range(WORKERS)})
    return keys


async def set_used(raw: Redis, keys: Keys, used: Mapping[str, float]) -> None:
    """Let clients have used the workers for so long, from now on."""
    seconds, micros = await raw.time()
    at = 1e3 * seconds + micros / 1e3
    for client, ms in used.items():
        for field_name, value in (("used", ms), ("work", 0.0), ("at", at)):
            await raw.hset(keys.shares, f"{field_name}@{client}", value)


@dataclass
class Mirror:
    """What waits, as the test has sent it."""

    slots: Slots = field(default_factory=Slots)
    jobs: dict[str, tuple[Job, Group]] = field(default_factory=dict)

    def came(self, job: Job, submitted_ms: float) -> None:
        start_ms = submitted_ms + job.budget_ms - job.overhead_ms - job.cheapest_ms
        group = Group(start_ms, job.cheapest_ms, job.narrowest_ms)
        self.jobs[job.id] = job, group
        self.slots.add(*group[:3])

    def went(self, job: Job) -> None:
        _, group = self.jobs.pop(job.id)
        self.slots.remove(*group[:3])

    def first(self, load: Load, used: Mapping[str, float], slack_ms: float) -> str:
        """The job that an idle worker runs, with costs `slack_ms` lower than they are."""
        order = sorted(self.jobs.values(), key=lambda known: known[1].latest_start_ms)
        for client in dict.fromkeys(job.client for job, _ in order):
            assert client is not None
            own = Load(
                *(load.now_ms, load.workers, load.running, tuple(self.slots.groups())),
                own=ClientLoad(PARTS[client], used=used[client] / DEMAND_MS),
            )
            if below_part(own):
                job, group = next(known for known in order if known[0].client == client)
                needs_ms = max(group.cheapest_ms, group.narrowest_ms) - slack_ms
                ahead = group._replace(narrowest_ms=needs_ms)
                return job.id if goes_first(ahead, own) else order[0][0].id
        return order[0][0].id


def drawn(make_job: MakeJob, chance: random.Random, client: str) -> Job:
    cheapest_ms = chance.choice([20.0, 300.0, 1000.0])
    return make_job(
        client=client,
        share={"flood": 1, "shop": 3}[client],
        cheapest_ms=cheapest_ms,
        narrowest_ms=cheapest_ms + chance.choice([1.0, 300.0]),
        budget_ms=chance.uniform(1500, 1e4),
        overhead_ms=7.0,
    )


@pytest.mark.parametrize("seed", range(15))
async def test_queue_hands_out_jobs_in_the_order_of_the_policy(
    queue: RedisQueue, make_job: MakeJob, keys: Keys, raw_redis: Redis, seed: int
) -> None:
    chance, mirror, running = random.Random(seed), Mirror(), 0
    for _ in range(40):
        client = chance.choices(list(PARTS), [3, 1])[0]
        job = drawn(make_job, chance, client)
        mirror.came(job, (await queue.submissions.submit(job, b"picture")).submitted_ms)
        if len({known.client for known, _ in mirror.jobs.values()}) < 2 or chance.random() < 0.5:
            continue
        used = {client: chance.choice(list(USED.values())) for client in PARTS}
        await set_used(raw_redis, keys, used)
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        load = Load.of(claim.backlog, WORKERS, free=1)
        allowed = {mirror.first(load, used, slack_ms) for slack_ms in (0.0, ROUNDING_MS)}
        assert claim.job.id in allowed
        mirror.went(claim.job)
        running += 1
        if running > 1:
            await queue.submissions.cancel(claim.job.id)
            await queue.leases.report_stopped(claim)
            running -= 1


async def submitted(queue: RedisQueue, job: Job) -> str:
    await queue.submissions.submit(job, b"picture")
    return job.id


async def claimed(queue: RedisQueue) -> Claim:
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    return claim


async def test_job_of_a_client_below_its_part_waits_where_it_would_make_another_late(
    queue: RedisQueue, make_job: MakeJob, keys: Keys, raw_redis: Redis
) -> None:
    long = {"cheapest_ms": 5000.0, "narrowest_ms": 6000.0}
    others = [
        await submitted(queue, make_job(client="flood", budget_ms=budget_ms, **long))
        for budget_ms in (8000.0, 9000.0, 10_000.0, 20_000.0)
    ]
    own = await submitted(queue, make_job(client="shop", budget_ms=90_000.0, **long))
    await set_used(raw_redis, keys, {"flood": 1e9})
    # Three workers, and three jobs that must start in 3 to 5 s: the shop's would keep one of them.
    assert [(await claimed(queue)).job.id for _ in range(3)] == others[:3]
    assert (await claimed(queue)).job.id == own
    assert (await claimed(queue)).job.id == others[3]


async def test_order_without_other_clients_is_that_of_latest_start(
    queue: RedisQueue, make_job: MakeJob, keys: Keys, raw_redis: Redis
) -> None:
    budgets = [5000.0, 2000.0, 9000.0]
    jobs = [await submitted(queue, make_job(client="shop", budget_ms=ms)) for ms in budgets]
    await set_used(raw_redis, keys, {"shop": 0.0})
    assert [(await claimed(queue)).job.id for _ in jobs] == [jobs[1], jobs[0], jobs[2]]
    assert await raw_redis.exists(keys.heads) == 0


@pytest.mark.parametrize(("waiting_ms", "gives_way"), [(300.0, False), (900.0, True)])
async def test_run_of_a_client_below_its_part_gives_way_only_where_others_would_be_late(
    queue: RedisQueue,
    make_job: MakeJob,
    keys: Keys,
    raw_redis: Redis,
    waiting_ms: float,
    gives_way: bool,
) -> None:
    await submitted(queue, make_job(client="shop", budget_ms=9000.0))
    run = await claimed(queue)
    await queue.leases.report_expected_end(run, 5000.0)
    jobs = [
        await submitted(queue, make_job(client="flood", budget_ms=2000.0, cheapest_ms=waiting_ms))
        for _ in range(5)
    ]
    await set_used(raw_redis, keys, {"flood": 1e9})
    gap = Gap(5000.0, 5000.0, run=run.job.id)
    claim = await queue.leases.claim_urgent("w", gap)
    assert (claim is not None) == gives_way
    assert await queue.leases.claim_urgent("w", Gap(5000.0, 5000.0)) is not None, "as before"
    own = await submitted(queue, make_job(client="shop", budget_ms=1000.0, cheapest_ms=10.0))
    claim = await queue.leases.claim_urgent("w", gap)
    assert claim is not None, "its own job"
    assert claim.job.id == own
    assert jobs
