"""How many workers one server carries: light workers and gateways at a real pace, and the server's
CPU for each of their calls.

Workers and gateways are tasks in a few processes, each with connections of its own, that call the
queue as real ones do but make no pictures. They share the machine's cores with the server, so what
one server carries is derived from the CPU time that it needs for each call.

Figures: docs/scaling.md, "One server".
Run: python -m studies.queue_scale --workers 100 300 1000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from redis import Redis

from benchmarks.light_load.gateways import run_gateways
from benchmarks.light_load.latencies import Latencies
from benchmarks.light_load.load import LightLoad
from benchmarks.light_load.server_costs import costs_us, cpu_s
from benchmarks.light_load.workers import HEARTBEAT_S, RENEWAL_S, run_workers
from benchmarks.redis_cluster import cluster_url, redis_cluster
from jobs.embedded_redis import Binary, embedded_redis
from studies.arguments import parser_of
from studies.document_tables import ROOT, replace_table, table

DOCUMENT = ROOT / "docs" / "scaling.md"
GATEWAYS = 20
UTILISATION = 0.7
RUN_S = 4.0
LOOKS_S = 0.04
SNAPSHOTS_PER_S = 1.0
WORKERS_PER_PROCESS = 500
SERVER_MB = 2048
CALLS = (
    *("job, none waits", "submit, jobs wait", "complete and claim, jobs wait", "expected end"),
    *("renew", "look", "heartbeat", "snapshot"),
)
COST_HEAD = ("call", "calls a second for each worker")
LOAD_HEAD = (
    *("workers", "run", "looks", "submits a second", "p50, p99", "claims a second", "p50, p99"),
    *("heartbeat p50, p99", "snapshot p50, p99", "failed calls", "CPU of each server"),
)


@dataclass(frozen=True)
class Outcome:
    """What a load measured."""

    load: LightLoad
    latencies: Latencies
    cpus: tuple[float, ...]
    """Cores that each server used."""

    def row(self) -> tuple[str, ...]:
        """Return the row of the table."""
        return (
            *(
                str(self.load.workers),
                f"{self.load.run_s:g} s",
                "yes" if self.load.looks_s else "no",
            ),
            *self._rate_and_latency("submit"),
            *self._rate_and_latency("complete and claim"),
            *(self._latency("heartbeat"), self._latency("snapshot")),
            *(
                str(len(self.latencies.of.get("failed", ()))),
                " ".join(f"{100 * cpu:.0f} %" for cpu in self.cpus),
            ),
        )

    def _rate_and_latency(self, call: str) -> tuple[str, str]:
        number = len(self.latencies.of.get(call, ()))
        return f"{number / self.load.seconds:.0f}", self._latency(call)

    def _latency(self, call: str) -> str:
        p50, p99 = self.latencies.p50_p99(call)
        return f"{p50:.1f}, {p99:.1f} ms"


def calls_per_s() -> dict[str, float]:
    """Return the calls a second for each worker, while no jobs wait. A job is one submission, and
    one end with the next claim, and a renewal that shows that the worker is awake; snapshots are as
    many, however many workers there are."""
    jobs = UTILISATION / RUN_S
    return {
        **dict.fromkeys(("job, none waits", "expected end"), jobs),
        "renew": UTILISATION / RENEWAL_S + jobs,
        "look": UTILISATION / LOOKS_S,
        "heartbeat": 1 / HEARTBEAT_S,
    }


def run(load: LightLoad, servers: Sequence[str]) -> Outcome:
    """Run a load on servers of these URLs."""
    workers = range(load.workers)
    parts = [
        workers[at : at + WORKERS_PER_PROCESS] for at in range(0, len(workers), WORKERS_PER_PROCESS)
    ]
    clients = [Redis.from_url(url) for url in servers]
    with (
        ProcessPoolExecutor(len(parts) + 1, get_context("spawn")) as processes,
        contextlib.ExitStack() as open_clients,
    ):
        for client in clients:
            open_clients.callback(client.close)
        running = [processes.submit(run_workers, load, part) for part in parts]
        running.append(processes.submit(run_gateways, load, range(load.gateways)))
        time.sleep(max(0.0, load.begins - time.time()))
        before = [cpu_s(client) for client in clients]
        time.sleep(max(0.0, load.ends - time.time()))
        spent = [cpu_s(client) - was for client, was in zip(clients, before, strict=True)]
        found = Latencies.together(Latencies(one.result()) for one in running)
    return Outcome(load, found, tuple(seconds / load.seconds for seconds in spent))


def load_of(url: str, workers: int, given: argparse.Namespace) -> LightLoad:
    """Return the load of so many workers. It begins once all have had time to connect."""
    looks_s = LOOKS_S if workers <= given.looks_up_to else 0.0
    begins = time.time() + 3 + workers / 100
    return LightLoad(
        *(url, f"scale-{uuid.uuid4().hex}", workers, GATEWAYS, given.run_s, UTILISATION, looks_s),
        *(begins, given.seconds, given.shards),
    )


@contextlib.contextmanager
def servers_of(given: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Start what the load runs on; yield the queue's URL, and that of each server."""
    if not given.cluster:
        with embedded_redis(given.server, SERVER_MB) as url:
            yield url, [url]
        return
    with (
        tempfile.TemporaryDirectory(prefix="anysr-cluster-") as folder,
        redis_cluster(Path(folder), given.shards) as nodes,
    ):
        yield cluster_url(nodes), [node.url for node in nodes]


def cost_table(costs: dict[int, dict[str, float]]) -> str:
    """Return the table of CPU times by number of workers, and where one core ends."""
    rows = [
        (
            *(call, _rate(call)),
            *(f"{of[call]:.0f}" for of in costs.values()),
        )
        for call in CALLS
    ]
    used = [f"{100 * cores(of, workers):.0f} %" for workers, of in costs.items()]
    rows.append(("**CPU of the server**", "", *used))
    return table((*COST_HEAD, *(f"µs, {workers} workers" for workers in costs)), rows)


def _rate(call: str) -> str:
    if call == "snapshot":
        return f"{GATEWAYS * SNAPSHOTS_PER_S:g} in all"
    rate = calls_per_s().get(call)
    return "" if rate is None else f"{rate:.3g}"


def cores(costs: dict[str, float], workers: int) -> float:
    """Return the cores that a server needs for so many workers, by the µs of each call."""
    per_worker = sum(rate * costs[call] for call, rate in calls_per_s().items())
    return (workers * per_worker + GATEWAYS * SNAPSHOTS_PER_S * costs["snapshot"]) / 1e6


def arguments_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = parser_of("studies.queue_scale", __doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load; 0: none")
    parser.add_argument("--run-s", type=float, default=RUN_S, help="time of a run in the load")
    parser.add_argument("--looks-up-to", type=int, default=100, help="workers that look for jobs")
    parser.add_argument(
        "--server", type=Binary, choices=list(Binary), help="server to start; default: the usual"
    )
    parser.add_argument("--shards", type=int, default=1, help="shards of the queue in the load")
    parser.add_argument(
        "--cluster", action="store_true", help="a cluster with a node for each shard"
    )
    parser.add_argument("--loads-only", action="store_true", help="no costs of calls")
    parser.add_argument("--write", metavar="NAME", help=f"write tables NAME into {DOCUMENT.name}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables or write them into the document."""
    given = arguments_of(arguments)
    costs: dict[int, dict[str, float]] = {}
    loads: list[tuple[str, ...]] = []
    for workers in given.workers:
        if not (given.cluster or given.loads_only):
            with embedded_redis(given.server, SERVER_MB) as url:
                costs[workers] = asyncio.run(
                    costs_us(url, workers, round(workers * UTILISATION), GATEWAYS)
                )
            print(f"{workers} workers: {costs[workers]}", file=sys.stderr, flush=True)
        if given.seconds:
            with servers_of(given) as (url, servers):
                loads.append(run(load_of(url, workers, given), servers).row())
            print(loads[-1], file=sys.stderr, flush=True)
    texts = {"costs": cost_table(costs)} if costs else {}
    if loads:
        texts["loads"] = table(LOAD_HEAD, loads)
    for kind, text in texts.items():
        print(text, end="\n\n")
        if given.write:
            replace_table(DOCUMENT, f"{given.write} {kind}", text)


if __name__ == "__main__":
    main()
