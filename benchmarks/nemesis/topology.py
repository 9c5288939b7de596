"""The service of a run: gateways and workers, each with a proxy of its own before Redis."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import IO

import httpx
import redis.asyncio

from benchmarks.nemesis import light_model
from benchmarks.nemesis.faults import GATEWAYS, LEASE_S, WORKERS
from benchmarks.nemesis.processes import GATEWAY, WORKER, Kept
from benchmarks.nemesis.promise import MOST_RUNS
from benchmarks.nemesis.proxy import Proxy
from benchmarks.nemesis.redis_on_disk import RedisOnDisk
from benchmarks.ports import free_ports
from jobs.keys import Keys

NAMESPACE = "nemesis"
RESULT_TTL_S, JOB_TTL_S = 120, 7200
"""Records are kept for longer than a run, so that each job can be asked for at its end."""
GRACE_MS = 5000
STUCK_S = 30.0
"""A run that was stopped may take long to return where all of a trial shares two cores."""
WEBHOOK_TIMEOUT_S = 2.0
"""A webhook whose gateway was killed is sent again by another one after some seconds more."""
START_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Topology:
    """What runs."""

    store: RedisOnDisk
    proxies: tuple[Proxy, ...]
    """Of the gateways, then of the workers."""
    gateways: tuple[Kept, ...]
    workers: tuple[Kept, ...]
    urls: tuple[str, ...]
    """Of the gateways."""
    client: redis.asyncio.Redis
    """Past all proxies."""
    keys: Keys

    def proxy_of_worker(self, worker: int) -> Proxy:
        """Return the proxy of one of `workers`."""
        return self.proxies[GATEWAYS + worker]


@contextlib.asynccontextmanager
async def running(
    hook_port: int, log: IO[bytes], on_death: Callable[[str], None]
) -> AsyncIterator[Topology]:
    """Run the service until the block is left, and yield it when all of it is ready.

    Webhooks may go to `hook_port` of this machine. What the processes print goes to `log`.
    Raises RedisUnavailableError, and TimeoutError where it does not become ready."""
    with tempfile.TemporaryDirectory(prefix="anysr-nemesis-") as name:
        folder = Path(name)
        settings = await asyncio.to_thread(_settings, folder, hook_port)
        async with contextlib.AsyncExitStack() as stack:
            store = RedisOnDisk(folder / "redis")
            (folder / "redis").mkdir()
            stack.callback(store.stop)
            await asyncio.to_thread(store.start)
            client = redis.asyncio.Redis(unix_socket_path=str(store.socket), decode_responses=True)
            stack.push_async_callback(client.aclose)
            proxies = tuple(Proxy(store.socket) for _ in range(GATEWAYS + WORKERS))
            for proxy in proxies:
                await proxy.start()
                stack.push_async_callback(proxy.stop)
            ports = free_ports(GATEWAYS)
            commands = [(*GATEWAY, str(port)) for port in ports] + [WORKER] * WORKERS
            kept = tuple(
                Kept(name, command, {**settings, "ANYSR_REDIS_URL": _url(proxy)}, log, on_death)
                for name, command, proxy in zip(_names(), commands, proxies, strict=True)
            )
            for process in kept:
                task = asyncio.create_task(process.keep())
                stack.push_async_callback(_ended, process, task)
            urls = tuple(f"http://127.0.0.1:{port}" for port in ports)
            parts = (kept[:GATEWAYS], kept[GATEWAYS:], urls, client, Keys(NAMESPACE))
            await wait_ready(urls)
            yield Topology(store, proxies, *parts)


async def wait_ready(urls: tuple[str, ...]) -> None:
    """Wait until each gateway sees all workers ready. Raises TimeoutError."""
    async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient() as client:
        for url in urls:
            while not await _is_ready(client, url):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.1)


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError, ValueError):
        health = (await client.get(f"{url}/health/ready")).json()
        return len([worker for worker in health["workers"] if worker["ready"]]) >= WORKERS
    return False


async def _ended(process: Kept, task: asyncio.Task[None]) -> None:
    await process.stop()
    await task


def _names() -> list[str]:
    return [f"gateway {i}" for i in range(GATEWAYS)] + [f"worker {i}" for i in range(WORKERS)]


def _url(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}"


def _settings(folder: Path, hook_port: int) -> dict[str, str]:
    """Return the environment of all processes, and write the models and costs that it names."""
    models, costs = folder / "models", folder / "costs"
    light_model.write_models(models)
    light_model.write_costs(models, costs)
    return {
        **os.environ,
        **light_model.SETTINGS,
        "ANYSR_MODELS": str(models),
        "ANYSR_CALIBRATION_FOLDER": str(costs),
        "ANYSR_NAMESPACE": NAMESPACE,
        "ANYSR_LEASE_SECONDS": str(LEASE_S),
        "ANYSR_MAX_ATTEMPTS": str(MOST_RUNS),
        "ANYSR_RESULT_TTL_SECONDS": str(RESULT_TTL_S),
        "ANYSR_JOB_TTL_SECONDS": str(JOB_TTL_S),
        "ANYSR_GRACE_MS": str(GRACE_MS),
        "ANYSR_SHUTDOWN_SECONDS": "5",
        "ANYSR_STUCK_SECONDS": str(STUCK_S),
        "ANYSR_EXIT_WITH_PARENT": "true",
        "ANYSR_LOG_LEVEL": "warning",
        "ANYSR_WEBHOOK_TIMEOUT_SECONDS": str(WEBHOOK_TIMEOUT_S),
        "ANYSR_WEBHOOK_SECRETS": "whsec_" + b64encode(token_bytes(32)).decode(),
        "ANYSR_OUTBOUND_ALLOW_PRIVATE": "127.0.0.0/8",
        "ANYSR_OUTBOUND_PORTS": str(hook_port),
    }
