"""The queue lets each client have what the policy lets it have of the workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from jobs.backlog import ClientLoad
from jobs.embedded_redis import Binary
from jobs.job import Claim, Job, JobView
from jobs.queue import NoTime, OverShare
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from scheduling.load import Load, Slots
from scheduling.options import Option
from scheduling.rungs import FLOOR
from scheduling.shares import over_share_ms

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
WEIGHTS = {"flood": 1, "shop": 3}
ROUNDING_MS = 0.1
"""Times are stored with three decimals."""


@dataclass
class Mirror:
    """What waits of each client, as the test has sent it."""

    slots: dict[str, Slots] = field(default_factory=lambda: {name: Slots() for name in WEIGHTS})
    starts: dict[str, float] = field(default_factory=dict)

    def came(self, job: Job, submitted_ms: float) -> None:
        assert job.client is not None
        start_ms = submitted_ms + job.budget_ms - job.overhead_ms - job.cheapest_ms
        self.starts[job.id] = start_ms
        self.slots[job.client].add(start_ms, job.cheapest_ms, job.narrowest_ms)

    def went(self, job: Job) -> None:
        assert job.client is not None
        start_ms = self.starts.pop(job.id)
        self.slots[job.client].remove(start_ms, job.cheapest_ms, job.narrowest_ms)

    def own(self, client: str) -> ClientLoad:
        part = WEIGHTS[client] / sum(WEIGHTS.values())
        return ClientLoad(part, tuple(self.slots[client].groups()))


def drawn(make_job: MakeJob, chance: random.Random, client: str) -> Job:
    return make_job(
        client=client,
        share=WEIGHTS[client],
        cheapest_ms=chance.choice([20.0, 300.0, 2000.0]),
        narrowest_ms=chance.choice([0.0, 100.0, 1000.0]),
        budget_ms=chance.uniform(2500, 2e4),
        overhead_ms=7.0,
    )


@pytest.mark.parametrize("seed", range(25))
async def test_queue_refuses_what_is_beyond_a_clients_part(
    queue: RedisQueue, make_job: MakeJob, seed: int
) -> None:
    chance, mirror, refused = random.Random(seed), Mirror(), 0
    for client in WEIGHTS:
        job = drawn(make_job, chance, client)
        mirror.came(job, (await queue.submissions.submit(job, b"picture")).submitted_ms)
    running = 0
    for _ in range(60):
        if running < 2 and chance.random() < 0.2 and (claim := await queue.leases.claim("w", 0)):
            running += 1
            mirror.went(claim.job)
            assert_own(claim, mirror)
            continue
        client, workers = chance.choice(list(WEIGHTS)), chance.randint(1, 3)
        job, before = drawn(make_job, chance, client), mirror.own(client)
        answer = await answer_to(queue, job, workers)
        if isinstance(answer, OverShare):
            refused += 1
            load = Load.of(answer.backlog, workers)
            assert load.own is not None
            assert load.own.part == pytest.approx(before.part)
            assert groups(load.own) == pytest.approx(groups(before), abs=ROUNDING_MS)
            assert answer.late_ms == pytest.approx(beyond_ms(job, load), abs=ROUNDING_MS)
        elif isinstance(answer, JobView):
            load = Load(answer.submitted_ms, max(workers, running), own=before)
            assert beyond_ms(job, load) <= ROUNDING_MS
            mirror.came(job, answer.submitted_ms)
    assert refused


async def answer_to(queue: RedisQueue, job: Job, workers: int) -> JobView | NoTime:
    """The job's view, or why it was refused."""
    try:
        return await queue.submissions.submit(job, b"picture", workers=workers)
    except NoTime as refusal:
        return refusal


def groups(own: ClientLoad) -> list[float]:
    return [ms for group in own.waiting for ms in group]


def beyond_ms(job: Job, load: Load) -> float:
    option = Option(FLOOR, job.cheapest_ms, job.cheapest_ms, 27.0)
    return over_share_ms((option,), job.budget_ms, load, job.overhead_ms)


def assert_own(claim: Claim, mirror: Mirror) -> None:
    own, client = claim.backlog.own, claim.job.client
    assert own is not None
    assert client is not None
    expected = mirror.own(client)
    assert own.part == pytest.approx(expected.part)
    assert groups(own) == pytest.approx(groups(expected), abs=ROUNDING_MS)


async def test_client_alone_may_use_everything(queue: RedisQueue, make_job: MakeJob) -> None:
    for _ in range(9):
        job = make_job(client="flood", cheapest_ms=1000.0, budget_ms=11_000.0)
        await queue.submissions.submit(job, b"picture", workers=1)
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert claim.backlog.own is None


async def test_another_client_leaves_the_first_its_part(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    def job(client: str) -> Job:
        return make_job(client=client, cheapest_ms=1000.0, budget_ms=11_000.0)

    await queue.submissions.submit(job("shop"), b"picture", workers=1)
    answers = [await answer_to(queue, job("flood"), workers=1) for _ in range(8)]
    accepted = [isinstance(answer, JobView) for answer in answers]
    assert accepted == [True] * 6 + [False] * 2, "five of the next ten seconds, and one more job"
    for _ in range(3):
        await queue.submissions.submit(job("shop"), b"picture", workers=1)


async def test_client_has_its_part_of_the_queues_places(
    redis_url: str,
    queue_settings: QueueSettings,
    open_queue: Callable[[str, QueueSettings], RedisQueue],
    make_job: MakeJob,
) -> None:
    queue = open_queue(redis_url, queue_settings.model_copy(update={"queue_limit": 4}))
    await queue.submissions.submit(make_job(client="shop"), b"picture", workers=1)
    for _ in range(2):
        await queue.submissions.submit(make_job(client="flood"), b"picture", workers=1)
    with pytest.raises(OverShare):
        await queue.submissions.submit(make_job(client="flood"), b"picture", workers=1)
    await queue.submissions.submit(make_job(client="shop"), b"picture", workers=1)


async def test_runs_count_as_time_that_their_client_used(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    for client in ("flood", "shop", "flood"):
        await queue.submissions.submit(make_job(client=client), b"picture")
    first = await queue.leases.claim("w", 0)
    assert first is not None
    assert first.backlog.own is not None
    assert first.backlog.own.used == 0
    await queue.submissions.cancel(first.job.id)
    await queue.leases.claim("w", 0)
    third = await queue.leases.claim("w", 0)
    assert third is not None
    assert third.job.client == "flood"
    assert third.backlog.own is not None
    assert third.backlog.own.used > 0
