"""Pictures of jobs in a bucket of a real S3 store: through the whole life of a job, in outages, and
with nothing left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr

from jobs import bucket as bucket_module
from jobs.blob_index import BlobIndex
from jobs.bucket import Bucket, BucketRefused, check_bucket
from jobs.cached_pictures import CacheBounds
from jobs.connection import SteadyRedis
from jobs.errors import DataLoss, Overloaded, ResultExpired
from jobs.job import Job, JobStatus, OnMiss, Reason, RunFacts
from jobs.keys import Keys
from jobs.outages import PicturesUnreachable
from jobs.redis_queue import RedisQueue
from jobs.s3_blobs import GIVEN_UP_S
from jobs.settings import QueueSettings
from jobs.store_upkeep import StoreUpkeep
from jobs.terms import NO_TERMS
from tests.support.remote import Remote, hang, remote_server
from tests.support.s3 import POWERLESS_KEY, POWERLESS_SECRET, S3Server, s3_server
from tests.support.waiting import eventually

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
BUCKET = "pictures"
FACTS = RunFacts("anysr-s", 0.5, Reason.SLACK, 20.0, 21.5, {"network": 12.0}, 31.2, 4)
BOUNDS = CacheBounds(total_bytes=25, picture_bytes=20, age_s=60.0)
GROUP = "g" * 40
"""As long as a digest of a group."""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture
def in_bucket(s3: S3Server, queue_settings: QueueSettings) -> QueueSettings:
    """Settings of a namespace of its own in the bucket."""
    return queue_settings.model_copy(update=s3.blob_settings(f"s3://{BUCKET}/tests"))


@pytest.fixture
def bucket(in_bucket: QueueSettings) -> Bucket:
    assert in_bucket.bucket is not None
    return Bucket(in_bucket.bucket)


@pytest.fixture
def index(raw_redis: SteadyRedis, in_bucket: QueueSettings) -> BlobIndex:
    return BlobIndex(raw_redis, Keys(in_bucket.namespace), 1 << 30)


@pytest.fixture
def queue(redis_url: str, in_bucket: QueueSettings, open_queue: OpenQueue) -> RedisQueue:
    return open_queue(redis_url, in_bucket)


async def objects(bucket: Bucket) -> set[str]:
    """The names of the namespace's objects, without what all have in common."""
    prefix = bucket.settings.prefix + "/"
    pages = [page async for page in bucket.listed()]
    return {name.removeprefix(prefix) for page in pages for name, _ in page}


async def test_a_job_with_its_pictures_in_a_bucket(
    queue: RedisQueue, bucket: Bucket, index: BlobIndex, make_job: MakeJob
) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    assert await objects(bucket) == {f"payloads/{job.id}"}
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert claim.payload == b"picture"
    assert await queue.leases.complete(claim, FACTS, b"result")
    assert await objects(bucket) == {f"results/{job.id}/{claim.token}"}
    view = await queue.submissions.view(job.id)
    assert await queue.submissions.result_bytes(view) == len(b"result")
    assert await queue.submissions.result(view) == b"result"
    await queue.submissions.drop_results([view])
    assert await objects(bucket) == set()
    assert (await index.fill()).used_bytes == 0
    assert await queue.submissions.result_bytes(view) == 0
    with pytest.raises(ResultExpired):
        await queue.submissions.result(view)


@pytest.mark.parametrize("other", [b"PICTURE", b"short", b"longer than before"])
async def test_an_object_that_was_changed_is_not_taken_for_the_picture(
    queue: RedisQueue, bucket: Bucket, make_job: MakeJob, other: bytes
) -> None:
    altered, job = make_job(), make_job()
    for one in (altered, job):
        await queue.submissions.submit(one, b"picture")
    await bucket.put(bucket.name("payloads", altered.id), other)
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert claim.job == job
    with pytest.raises(DataLoss, match="uploaded"):
        await queue.submissions.result(await queue.submissions.view(altered.id))
    assert await queue.leases.complete(claim, FACTS, b"picture")
    await bucket.put(bucket.name("results", job.id, str(claim.token)), other)
    # One that is too long is not read at all.
    with pytest.raises(ResultExpired if len(other) > len(b"picture") else DataLoss):
        await queue.submissions.result(await queue.submissions.view(job.id))


async def test_no_picture_is_left_of_a_job_that_ends_without_a_run(
    queue: RedisQueue, bucket: Bucket, make_job: MakeJob
) -> None:
    cancelled, late = make_job(), make_job(on_miss=OnMiss.REJECT)
    await queue.submissions.submit(cancelled, b"picture")
    await queue.submissions.cancel(cancelled.id)
    await queue.submissions.submit(late, b"picture", spent_ms=120_000.0)
    assert await queue.leases.claim("w", 0) is None
    assert (await queue.submissions.view(late.id)).status is JobStatus.FAILED
    assert await objects(bucket) == set()


async def test_a_job_that_is_refused_leaves_no_picture(
    redis_url: str,
    in_bucket: QueueSettings,
    open_queue: OpenQueue,
    bucket: Bucket,
    make_job: MakeJob,
) -> None:
    small = open_queue(redis_url, in_bucket.model_copy(update={"queue_limit": 1}))
    first = make_job()
    await small.submissions.submit(first, b"picture")
    with pytest.raises(Overloaded):
        await small.submissions.submit(make_job(), b"picture")
    assert await objects(bucket) == {f"payloads/{first.id}"}


async def test_pictures_take_no_more_than_their_bound(
    redis_url: str, in_bucket: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    small = open_queue(redis_url, in_bucket.model_copy(update={"blob_mb": 1}))
    first = make_job()
    await small.submissions.submit(first, bytes(700_000))
    with pytest.raises(Overloaded):
        await small.submissions.submit(make_job(), bytes(700_000))
    await small.submissions.cancel(first.id)
    assert (await small.submissions.submit(make_job(), bytes(700_000))).status is JobStatus.QUEUED


async def test_what_has_expired_is_deleted_and_not_readable_before(
    redis_url: str,
    raw_redis: SteadyRedis,
    in_bucket: QueueSettings,
    open_queue: OpenQueue,
    bucket: Bucket,
    index: BlobIndex,
    make_job: MakeJob,
) -> None:
    queue = open_queue(redis_url, in_bucket)
    done, waiting = make_job(), make_job()
    await queue.submissions.submit(done, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    await queue.submissions.submit(waiting, b"picture")
    result = f"results/{done.id}/{claim.token}"
    await raw_redis.zadd(Keys(in_bucket.namespace).blobs_by_expiry, {bucket.name(result): 1.0})
    with pytest.raises(ResultExpired):
        await queue.submissions.result(await queue.submissions.view(done.id))
    assert result in await objects(bucket)
    assert await StoreUpkeep(bucket, index).delete_expired() == 1
    assert await objects(bucket) == {f"payloads/{waiting.id}"}
    assert (await index.fill()).used_bytes == len(b"picture")


async def test_objects_that_nobody_knows_are_deleted(bucket: Bucket, index: BlobIndex) -> None:
    await index.reserve(bucket.name("payloads", "known"), 1, 60.0)
    await bucket.put(bucket.name("payloads", "known"), b"1")
    await bucket.put(bucket.name("results", "unknown", "1"), b"1")
    assert await StoreUpkeep(bucket, index).delete_orphans() == 0  # too young
    assert await StoreUpkeep(bucket, index, timedelta(seconds=-60)).delete_orphans() == 1
    assert await objects(bucket) == {"payloads/known"}


async def test_orphans_of_another_namespace_are_left_alone(
    bucket: Bucket, index: BlobIndex
) -> None:
    other = Bucket(replace(bucket.settings, prefix=bucket.settings.prefix + "-too"))
    await other.put(other.name("payloads", "a"), b"1")
    assert await StoreUpkeep(bucket, index, timedelta(seconds=-60)).delete_orphans() == 0
    assert await objects(other) == {"payloads/a"}


async def test_cached_pictures_live_in_the_bucket(
    queue: RedisQueue, bucket: Bucket, index: BlobIndex, make_job: MakeJob
) -> None:
    async def kept(picture: bytes, variant: str, *, move: bool) -> bool:
        await queue.submissions.submit(make_job(), b"picture")
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        await queue.leases.complete(claim, FACTS, picture)
        view = await queue.submissions.view(claim.job.id)
        outcome = await queue.cached.keep(view, GROUP, variant, BOUNDS, move=move)
        if not outcome.kept:
            await queue.submissions.drop_results([view])
        return outcome.kept

    assert await kept(b"1" * 15, "a", move=True)
    assert await objects(bucket) == {f"cached/{GROUP}a"}
    (cached,) = await queue.cached.variants(GROUP)
    assert (cached.bytes, cached.facts) == (15, FACTS)
    assert await queue.cached.picture(cached) == b"1" * 15
    ended = await queue.cached.end_job(cached, make_job(), 0.0, NO_TERMS)
    assert ended is not None
    assert await queue.submissions.result(ended) == b"1" * 15
    assert not await kept(b"2" * 21, "b", move=True)
    assert await kept(b"2" * 15, "b", move=True)  # does not fit beside the first
    assert [one.variant for one in await queue.cached.variants(GROUP)] == ["b"]
    assert await queue.cached.picture(cached) is None
    assert await queue.cached.end_job(cached, make_job(), 0.0, NO_TERMS) is None
    await queue.submissions.drop_results([ended])
    assert await objects(bucket) == {f"cached/{GROUP}b"}
    assert (await index.fill()).used_bytes == 15


async def test_an_outage_of_the_bucket_loses_no_job(
    queue: RedisQueue,
    redis_url: str,
    in_bucket: QueueSettings,
    open_queue: OpenQueue,
    bucket: Bucket,
    make_job: MakeJob,
) -> None:
    nowhere = in_bucket.model_copy(update={"blob_endpoint": "http://127.0.0.1:1"})
    cut_off = open_queue(redis_url, nowhere)
    with pytest.raises(PicturesUnreachable, match="cannot be reached"):
        await cut_off.submissions.submit(make_job(), b"picture")
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    for _ in range(in_bucket.max_attempts + 1):
        with pytest.raises(ConnectionError):
            await cut_off.leases.claim("w", 0)
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert (claim.job, claim.attempt, claim.payload) == (job, 1, b"picture")
    with pytest.raises(ConnectionError):
        await cut_off.leases.complete(claim, FACTS, b"result")
    assert await queue.leases.complete(claim, FACTS, b"result")
    view = await cut_off.submissions.view(job.id)
    with pytest.raises(PicturesUnreachable):
        await cut_off.submissions.result(view)
    await cut_off.submissions.drop_results([view])  # is done by the upkeep
    assert await queue.submissions.result_bytes(view) == 0
    assert queue.upkeep is not None
    upkeep = asyncio.create_task(queue.upkeep.run())
    await eventually(lambda: _is_empty(bucket), "the deletion after an outage")
    upkeep.cancel()


async def test_a_picture_whose_writing_failed_is_deleted_soon(
    redis_url: str,
    raw_redis: SteadyRedis,
    in_bucket: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    nowhere = in_bucket.model_copy(update={"blob_endpoint": "http://127.0.0.1:1"})
    with pytest.raises(PicturesUnreachable):
        await open_queue(redis_url, nowhere).submissions.submit(make_job(), b"picture")
    noted = Keys(in_bucket.namespace).blobs_by_expiry
    [name] = await raw_redis.zrange(noted, 0, -1)
    assert isinstance(name, bytes)
    expiry = await raw_redis.zscore(noted, name)
    seconds, _ = await raw_redis.time()
    assert expiry is not None
    assert expiry / 1e3 - seconds <= GIVEN_UP_S + 1


async def test_an_object_that_others_wrote_is_not_read(bucket: Bucket) -> None:
    await bucket.put(bucket.name("a"), b"12")
    assert await bucket.get(bucket.name("a"), 1) is None
    assert await bucket.get(bucket.name("a"), 2) == b"12"


async def _is_empty(bucket: Bucket) -> bool:
    return await objects(bucket) == set()


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    async with remote_server() as remote:
        yield remote


@pytest.mark.parametrize("slow", [False, True])
async def test_a_bucket_that_fails_is_an_outage(
    remote: Remote,
    in_bucket: QueueSettings,
    index: BlobIndex,
    monkeypatch: pytest.MonkeyPatch,
    slow: bool,
) -> None:
    monkeypatch.setattr(bucket_module, "PROBE_S", 0.3 if slow else 60.0)
    settings = in_bucket.model_copy(update={"blob_endpoint": remote.url("").rstrip("/")})
    assert settings.bucket is not None
    place = f"/{BUCKET}/{settings.bucket.prefix}/probe"
    if slow:
        remote.answers[place] = hang
    else:
        remote.serves(place, b"<Error><Code>SlowDown</Code><Key>a secret</Key></Error>", 503)
    upkeep = StoreUpkeep(Bucket(settings.bucket), index)
    await upkeep.probe()
    why = "takes longer than 0.3 s" if slow else "answers 503 SlowDown"
    assert upkeep.fault == f"the bucket s3://{BUCKET} {why}"
    remote.serves(place, b"<Error><Code>NoSuchKey</Code></Error>", 404)
    await upkeep.probe()
    assert upkeep.fault is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"blob_url": "s3://not-there/tests"}, "s3://not-there does not exist"),
        (
            {
                "blob_access_key_id": SecretStr(POWERLESS_KEY),
                "blob_secret_access_key": SecretStr(POWERLESS_SECRET),
            },
            f"s3://{BUCKET} denies access \\(answers 403 AccessDenied\\)",
        ),
    ],
)
def test_a_start_ends_with_one_line_about_a_wrong_bucket(
    in_bucket: QueueSettings, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(BucketRefused, match=f"^ANYSR_BLOB_URL: the bucket {why}.$"):
        check_bucket(in_bucket.model_copy(update=changes))


def test_a_start_finds_a_good_bucket_and_waits_for_one_that_is_away(
    in_bucket: QueueSettings, bucket: Bucket
) -> None:
    check_bucket(in_bucket)
    assert asyncio.run(objects(bucket)) == set()
    check_bucket(in_bucket.model_copy(update={"blob_endpoint": "http://127.0.0.1:1"}))
