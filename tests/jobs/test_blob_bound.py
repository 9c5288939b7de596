"""Results that a Redis can never hold are refused before they are sent, and the lease is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jobs.blob_bound import DEFAULT_BYTES, most_bytes
from jobs.connection import SteadyRedis, connect
from jobs.embedded_redis import Binary, embedded_redis, find_binary
from jobs.errors import OutputTooLarge
from jobs.job import Claim, Job, Reason, RunFacts
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
MEBIBYTE = 1 << 20


@pytest.fixture(params=list(Binary))
def small_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A private server with 16 MiB of memory."""
    if find_binary(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    with embedded_redis(request.param, memory_mb=16) as url:
        yield url


async def claimed(queue: RedisQueue, job: Job) -> Claim:
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    return claim


async def limit_arguments(url: str, size: int) -> None:
    client = connect(url)
    await client.config_set("proto-max-bulk-len", size)
    await client.aclose()


async def check_bound(queue: RedisQueue, make_job: MakeJob, most: int) -> None:
    """Check that a picture of `most` bytes is delivered, and a larger one is not."""
    claim = await claimed(queue, make_job())
    assert await queue.leases.complete(claim, FACTS, b"x" * most)
    stored = await queue.submissions.view(claim.job.id)
    assert await queue.submissions.result_bytes(stored) == most

    claim = await claimed(queue, make_job())
    with pytest.raises(OutputTooLarge, match=f"has {most + 1} bytes") as refusal:
        await queue.leases.complete(claim, FACTS, b"x" * (most + 1))
    assert refusal.value.details == {"max_bytes": most}
    assert await queue.leases.fail(claim, refusal.value), "the lease is kept"
    failed = await queue.submissions.view(claim.job.id)
    assert (failed.error_code, failed.attempt) == ("output_too_large", 1)
    assert failed.error_details == {"max_bytes": most}


async def test_result_above_the_servers_longest_argument_is_refused(
    small_url: str, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    for most in (MEBIBYTE, 2 * MEBIBYTE):  # read anew each time
        await limit_arguments(small_url, most)
        await check_bound(open_queue(small_url, queue_settings), make_job, most)


async def test_bound_is_that_of_the_redis_that_holds_the_pictures(
    redis_url: str,
    small_url: str,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    await limit_arguments(small_url, MEBIBYTE)
    settings = queue_settings.model_copy(update={"blob_url": small_url})
    await check_bound(open_queue(redis_url, settings), make_job, MEBIBYTE)


async def test_result_above_the_memory_of_the_server_is_refused(
    small_url: str, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    queue = open_queue(small_url, queue_settings)
    claim = await claimed(queue, make_job())
    with pytest.raises(OutputTooLarge) as refusal:
        await queue.leases.complete(claim, FACTS, bytes(8 * MEBIBYTE))
    most = refusal.value.details["max_bytes"]
    assert 7 * MEBIBYTE < most < 8 * MEBIBYTE
    assert await queue.leases.complete(claim, FACTS, bytes(most - MEBIBYTE))


async def test_server_that_reports_nothing_is_assumed_to_have_the_default(
    redis_url: str, raw_redis: SteadyRedis
) -> None:
    """Hosted servers may forbid CONFIG and INFO."""
    rights = ("on", "nopass", "~*", "&*", "+@all", "-info", "-config")
    await raw_redis.execute_command("ACL", "SETUSER", "mute", *rights)
    mute = connect(redis_url.replace("unix://", "unix://mute:any@"))
    try:
        await raw_redis.config_set("proto-max-bulk-len", MEBIBYTE)
        assert await most_bytes(raw_redis) == MEBIBYTE
        assert await most_bytes(mute) == DEFAULT_BYTES
    finally:
        await mute.aclose()
        await raw_redis.config_set("proto-max-bulk-len", DEFAULT_BYTES)
        await raw_redis.execute_command("ACL", "DELUSER", "mute")
