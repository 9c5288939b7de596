"""A real cluster of primaries on the loopback address, for tests and studies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from benchmarks.durability.server import TrialServer, any_server, free_port
from jobs.server_process import RedisUnavailableError

SLOTS = 16384
READY_S = 20.0
"""The nodes need two seconds: a primary takes no writes before."""


@contextlib.contextmanager
def redis_cluster(folder: Path, nodes: int = 3) -> Iterator[list[TrialServer]]:
    """Run a cluster that keeps its files in a folder, and yield its nodes, of which each holds an
    equal part of the slots. Raises RedisUnavailableError."""
    executable = any_server()
    servers = [TrialServer(executable, folder / f"node-{n}", _options()) for n in range(nodes)]
    try:
        for server in servers:
            server.spawn()
        for number, server in enumerate(servers):
            server.await_answer()
            _join(server, servers[0], number, nodes)
        _await_ready(servers)
        yield servers
    finally:
        for server in servers:
            server.kill()


def cluster_url(servers: list[TrialServer]) -> str:
    """Return the URL of a cluster, as the settings take it."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


def _options() -> dict[str, str]:
    return {
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "cluster-node-timeout": "2000",
        "save": "",
        "appendonly": "no",
        "loglevel": "warning",
    }


def _join(server: TrialServer, first: TrialServer, number: int, nodes: int) -> None:
    begin, end = SLOTS * number // nodes, SLOTS * (number + 1) // nodes - 1
    with contextlib.closing(server.client()) as client:
        _ask(client, "CLUSTER", "ADDSLOTSRANGE", begin, end)
        if server is not first:
            bus = first.options["cluster-port"]
            _ask(client, "CLUSTER", "MEET", "127.0.0.1", first.port, bus)


def _await_ready(servers: list[TrialServer]) -> None:
    until = time.monotonic() + READY_S
    for server in servers:
        with contextlib.closing(server.client()) as client:
            while not _ready(client, len(servers)):
                if time.monotonic() > until:
                    raise RedisUnavailableError("the nodes of the cluster do not find each other")
                time.sleep(0.05)


def _ready(client: redis.Redis, nodes: int) -> bool:
    info = set(_ask(client, "CLUSTER", "INFO").split())
    return {b"cluster_state:ok", f"cluster_known_nodes:{nodes}".encode()} <= info


def _ask(client: redis.Redis, *command: str | int) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]
