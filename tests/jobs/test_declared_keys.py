"""Which keys the scripts touch: those that they declare, and those that their heads name."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import resources

import pytest

from jobs.connection import SteadyRedis
from jobs.embedded_redis import Binary
from jobs.job import Job
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.scripts import REGISTRY_SCRIPTS, STEPS, Scripts, Step, registry_source, step_source
from tests.jobs.queue_walk import QueueWalk
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("redis_url", [Binary.BUNDLED], indirect=True)

KINDS = {
    r"job:.*:result-url": "result-url",
    r"job:.*": "record",
    r"payload:.*": "payload",
    r"pending@.*": "pending@client",
    r"deliveries:.*": "deliveries:host",
    r"idempotency:.*": "idempotency",
    r"batch-items:.*": "batch-items",
    r"batch-urls:.*": "batch-urls",
    r"wake:.*": "wake",
    r"cached:.*": "cached",
    r"cached-group:.*": "cached-group",
}
SOURCES = {
    path.name.removesuffix(".lua"): path.read_text("utf-8")
    for path in (resources.files("jobs") / "lua").iterdir()
    if path.name.endswith(".lua")
}
TEXTS: dict[str, str] = (
    SOURCES
    | {str(step): step_source(step) for step in STEPS}
    | {name: registry_source(name) for name in REGISTRY_SCRIPTS}
)
HASHES = {hashlib.sha1(text.encode()).hexdigest(): name for name, text in TEXTS.items()}
NO_KEY = {"TIME", "PUBLISH"}
TWO_KEYS = {"COPY", "RENAME"}


def named(step: str) -> set[str]:
    """The kinds of keys that the head of a script names as computed."""
    head = re.search(r"^-- Computed keys: ([^(]*)\(", SOURCES[step], re.MULTILINE)
    return set(head[1].strip().split(", ")) if head else set()


def kind_of(key: str, keys: Keys) -> str:
    """What a computed key is called."""
    assert key.startswith(keys.tag), f"{key} is in another slot"
    part = key.removeprefix(f"{keys.tag}:")
    return next(kind for pattern, kind in KINDS.items() if re.fullmatch(pattern, part))


def touched(command: list[str]) -> list[str]:
    """The keys of a command within a script."""
    name, *arguments = command
    if name.upper() in NO_KEY:
        return []
    if name.upper() in {"DEL", "UNLINK"}:
        return arguments
    return arguments[: 2 if name.upper() in TWO_KEYS else 1]


def computed(lines: Iterable[tuple[str, list[str]]], keys: Keys) -> Iterator[tuple[str, set[str]]]:
    """Yield the hash of each script that ran, and the kinds of keys that it has not declared."""
    sha, declared = "", set[str]()
    for client, command in lines:
        if client != "lua" and command[0].upper() == "EVALSHA":
            sha, declared = command[1], set(command[3 : 3 + int(command[2])])
            yield sha, set()
        elif client == "lua":
            yield sha, {kind_of(key, keys) for key in touched(command) if key not in declared}


async def test_scripts_touch_what_they_declare_and_what_their_heads_name(
    queue: RedisQueue,
    raw_redis: SteadyRedis,
    scripts: Scripts,
    keys: Keys,
    make_job: Callable[..., Job],
) -> None:
    lines: list[tuple[str, list[str]]] = []
    async with raw_redis.monitor() as monitor:

        async def listen() -> None:
            while True:
                line = await monitor.next_command()
                lines.append((line["client_type"], line["command"].split(" ")))

        listening = asyncio.create_task(listen())
        await QueueWalk(queue, make_job).all()
        await queue.submissions.submit(make_job(client="shop"), b"picture")
        claim = await queue.leases.claim("one", 10.0)
        assert claim is not None
        await scripts.run("release", claim.job.id, claim.token)
        step: Step
        for step in ("charge", "refund"):  # of a divided queue
            await scripts.run(step, "job-1", 1, "1000", "2", 0, 60, client="shop")
        await raw_redis.echo("the-end")

        async def all_heard() -> bool:
            return any(command[-1] == "the-end" for _, command in lines)

        await eventually(all_heard, "the last command in the monitor")
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    found: dict[str, set[str]] = {}
    for sha, kinds in computed(lines, keys):
        found.setdefault(HASHES[sha], set()).update(kinds)
    assert set(STEPS) <= found.keys()
    undeclared = {step: kinds - named(step) for step, kinds in found.items()}
    assert not {step: kinds for step, kinds in undeclared.items() if kinds}


@pytest.mark.parametrize("step", sorted(SOURCES))
def test_heads_name_keys_that_there_are(redis_url: str, step: str) -> None:
    del redis_url
    assert named(step) <= {*KINDS.values(), "uploads"}
