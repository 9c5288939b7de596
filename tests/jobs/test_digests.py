"""Digests, and what of a job was altered where it is kept: noticed when it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from jobs.cached_pictures import CacheBounds
from jobs.digests import HASHED_AT_ONCE_BYTES, digest_of, digest_off_loop, is_whole
from jobs.errors import DataLoss
from jobs.job import Claim, Job, JobStatus, Reason, RunFacts
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue

MakeJob = Callable[..., Job]
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
SIZES = (100, 100_000)
"""Bytes of a picture that comes with its claim or event, and of one that is read by itself."""
BOUNDS = CacheBounds(total_bytes=1 << 20, picture_bytes=1 << 20, age_s=60.0)


async def turn_a_bit(raw: Redis, name: str) -> None:
    """Alter a value as a fault of a disk does."""
    (bit,) = [await raw.getbit(name, 333)]
    await raw.setbit(name, 333, 1 - bit)


async def claimed(queue: RedisQueue) -> Claim:
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    return claim


async def lost_part(queue: RedisQueue, job: Job) -> object:
    """Return what is lost of a job, by the error that its caller gets."""
    with pytest.raises(DataLoss) as raised:
        await queue.submissions.result(await queue.submissions.view(job.id))
    return raised.value.details["lost"]


async def test_the_digest_is_the_published_one() -> None:
    """The first value is that of the specification's implementation."""
    assert digest_of(b"") == "99aa06d3014798d86001c324468d497f"
    large = bytes(HASHED_AT_ONCE_BYTES + 1)
    assert await digest_off_loop(large) == digest_of(large)
    assert await is_whole(large, digest_of(large))
    assert await is_whole(large, None)
    assert not await is_whole(large[1:], digest_of(large))


@pytest.mark.parametrize("size", SIZES)
async def test_an_altered_source_is_not_upscaled(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob, size: int
) -> None:
    altered, whole = make_job(), make_job()
    for job in (altered, whole):
        await queue.submissions.submit(job, bytes(size))
    await turn_a_bit(raw_redis, keys.payload(altered.id))
    assert (await claimed(queue)).job == whole
    assert (await queue.submissions.view(altered.id)).status is JobStatus.FAILED
    assert await lost_part(queue, altered) == "source"


@pytest.mark.parametrize("size", SIZES)
async def test_an_altered_result_is_not_sent(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob, size: int
) -> None:
    job = make_job()
    submitted = await queue.submissions.submit(job, b"picture")
    claim = await claimed(queue)
    assert await queue.leases.complete(claim, FACTS, bytes(size))
    view = await queue.submissions.view(job.id)
    assert await queue.submissions.result(view) == bytes(size)
    await turn_a_bit(raw_redis, keys.result(job.id, claim.token))
    assert await lost_part(queue, job) == "result"
    read_along = await queue.submissions.outcome(submitted, 1.0)
    assert read_along.ended
    assert read_along.picture is None


async def test_an_altered_record_ends_its_job(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    """The turned bit leaves it JSON of a valid job."""
    job = make_job(source_width=64)
    await queue.submissions.submit(job, b"picture")
    text: Any = await raw_redis.hget(keys.record(job.id), "job")
    turned = text.replace(b'"source_width":64', b'"source_width":65')
    assert turned != text
    await raw_redis.hset(keys.record(job.id), "job", turned)
    assert await queue.leases.claim("w", 0) is None
    assert await lost_part(queue, job) == "record"


async def test_a_job_without_digests_runs(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    """As earlier versions have written it."""
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    text: Any = await raw_redis.hget(keys.record(job.id), "job")
    old = text[: text.index(b',"source_digest"')] + b"}"
    await raw_redis.hset(keys.record(job.id), "job", old)
    claim = await claimed(queue)
    assert claim.job == job
    assert claim.job.source_digest is None


async def test_an_altered_cached_picture_is_a_miss(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    group = "g" * 40
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    assert await queue.leases.complete(await claimed(queue), FACTS, bytes(100))
    view = await queue.submissions.view(job.id)
    await queue.cached.keep(view, group, "v", BOUNDS, move=False)
    (cached,) = await queue.cached.variants(group)
    assert await queue.cached.picture(cached) == bytes(100)
    await turn_a_bit(raw_redis, keys.cached_picture(cached.name))
    assert await queue.cached.picture(cached) is None
    assert await queue.cached.picture(replace(cached, facts=FACTS)) is not None
