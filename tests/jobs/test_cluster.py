"""The queue on a real cluster of three primaries."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
import redis

from benchmarks.durability.server import TrialServer
from benchmarks.redis_cluster import SLOTS, cluster_url, redis_cluster
from jobs.cluster_url import ClusterUrl, is_cluster_url, read_cluster_url
from jobs.connected_queue import connect_queue
from jobs.job import Job, JobStatus
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.jobs.queue_walk import FACTS, QueueWalk
from tests.support.waiting import eventually

OpenQueue = Callable[[str, QueueSettings], RedisQueue]
MakeJob = Callable[..., Job]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TrialServer]]:
    """Three primaries, each with a third of the slots."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def holder(nodes: list[TrialServer], keys: Keys) -> tuple[TrialServer, int]:
    """The node that holds a queue, and its slot."""
    with nodes[0].client() as client:
        slot = int(client.execute_command("CLUSTER", "KEYSLOT", keys.tag))
    ends = (SLOTS * (number + 1) // len(nodes) for number in range(len(nodes)))
    return next(node for node, end in zip(nodes, ends, strict=True) if slot < end), slot


@pytest.mark.parametrize("place", range(3))
async def test_every_script_works_on_the_node_that_has_the_queue(
    nodes: list[TrialServer], open_queue: OpenQueue, make_job: MakeJob, place: int
) -> None:
    """Whichever node that is: a script that touched a key of another slot would be refused."""
    settings = next(
        settings
        for settings in (QueueSettings(namespace=f"test-{uuid.uuid4().hex}") for _ in range(1000))
        if holder(nodes, Keys(settings.namespace))[0] is nodes[place]
    )
    queue = open_queue(cluster_url(nodes), settings)
    await QueueWalk(queue, make_job).all()
    with nodes[place].client() as client:
        assert client.exists(Keys(settings.namespace).counts)


async def test_shards_are_spread_over_the_nodes(
    nodes: list[TrialServer], make_job: MakeJob
) -> None:
    settings = next(
        settings
        for settings in (
            QueueSettings(namespace=f"test-{uuid.uuid4().hex}", queue_shards=3) for _ in range(1000)
        )
        if len({id(holder(nodes, Keys(settings.namespace, n))[0]) for n in range(3)}) == 3
    )
    queue = connect_queue(cluster_url(nodes), settings)
    try:
        await QueueWalk(queue, lambda **changes: make_job(id=uuid.uuid4().hex, **changes)).all()
    finally:
        await queue.close()


async def test_calls_follow_a_slot_to_another_node(
    nodes: list[TrialServer],
    open_queue: OpenQueue,
    queue_settings: QueueSettings,
    make_job: MakeJob,
) -> None:
    keys = Keys(queue_settings.namespace)
    queue = open_queue(cluster_url(nodes), queue_settings)
    view = await queue.submissions.submit(make_job(), b"picture")
    source, slot = holder(nodes, keys)
    target = next(node for node in nodes if node is not source)
    move(slot, source, target)
    claim = await queue.leases.claim("one", 10.0)
    assert claim is not None
    assert await queue.leases.complete(claim, FACTS, b"result")
    ended = await queue.submissions.wait(view.job.id, 10.0)
    assert ended.status is JobStatus.SUCCEEDED
    with target.client() as client:
        assert client.exists(keys.record(view.job.id))
    await eventually(lambda: _known(nodes, slot, target), "all nodes that know the new holder")


async def _known(nodes: list[TrialServer], slot: int, target: TrialServer) -> bool:
    """Whether all nodes have learned who holds a slot; the next test asks them."""
    found = []
    for node in nodes:
        with node.client() as client:
            for begin, end, (_, port, *_), *_ in client.execute_command("CLUSTER", "SLOTS"):
                found += [port] if begin <= slot <= end else []
    return found == [target.port] * len(nodes)


def move(slot: int, source: TrialServer, target: TrialServer) -> None:
    """Move a slot with its keys, as `redis-cli --cluster reshard` does."""
    with source.client() as one, target.client() as other:
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in (one, other)]
        other.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        one.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        names = one.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        one.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS", *names)
        for client in (other, one):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("redis+cluster://a", ClusterUrl((("a", 6379),))),
        (
            "rediss+cluster://u:p%40@a:1,[::1]:3/",
            ClusterUrl((("a", 1), ("::1", 3)), tls=True, username="u", password="p@"),
        ),
    ],
)
def test_urls_are_read(url: str, read: ClusterUrl) -> None:
    assert is_cluster_url(url)
    assert read_cluster_url(url) == read


@pytest.mark.parametrize(
    "url",
    [
        *("redis+cluster://", "redis+cluster://a,,b", "redis+cluster://a:x"),
        *("redis+cluster://u:secret@a/3", "redis+cluster://u:secret@a?timeout=3"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError, match=r"redis\+cluster|[Pp]ort") as refused:
        QueueSettings(redis_url=url)
    assert "secret" not in str(refused.value)


async def test_a_cluster_that_is_away_is_an_outage(
    open_queue: OpenQueue, queue_settings: QueueSettings
) -> None:
    queue = open_queue("redis+cluster://127.0.0.1:1", queue_settings)
    with pytest.raises(ConnectionError):
        await queue.submissions.stats()


async def test_only_the_node_of_the_queue_has_its_keys(
    nodes: list[TrialServer],
    open_queue: OpenQueue,
    queue_settings: QueueSettings,
    make_job: MakeJob,
) -> None:
    queue = open_queue(cluster_url(nodes), queue_settings)
    await queue.submissions.submit(make_job(), b"picture")
    pattern, having = f"{Keys(queue_settings.namespace).tag}:*", []
    for node in nodes:
        with redis.Redis(port=node.port) as client:
            having += [node] if list(client.scan_iter(match=pattern)) else []
    assert len(having) == 1
