"""The worker's composition root: settings in, one worker process out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server

from images.limits import Limits
from jobs.redis_queue import RedisQueue
from jobs.reload_requests import ReloadRequests, on_hangup
from jobs.settings import QueueSettings
from models.catalog import SHIPPED, CatalogError
from telemetry.logs import configure_logging
from telemetry.spans import Tracing
from telemetry.tracing import TracingMissing, tracing_of
from workers import allocator
from workers.background import background_task, wait_for_event
from workers.cache_files import kept_folder
from workers.heartbeat import Heartbeat
from workers.idle_memory import Rest
from workers.machine import Machine, MachineWatch, find_gpu
from workers.metrics import WorkerMetrics
from workers.model_loader import ModelLoader
from workers.model_slot import ModelSlot
from workers.reloading import Reloader
from workers.remeasuring import Remeasurer
from workers.runtimes.base import RuntimeMissing
from workers.settings import WorkerSettings
from workers.worker import Worker, WorkerParts

log = logging.getLogger("anysr.workers")

BEAT_S = 1.0
LONGEST_RENEWAL_S = 1.0
"""A lease is renewed at least this often, for that is also how a cancellation is heard."""
PARENT_LOOK_S = 1.0


class RedisMissing(ValueError):
    """A worker was not told where its queue is."""


def run(
    settings: WorkerSettings | None = None, queue_settings: QueueSettings | None = None
) -> None:
    """Run one worker until SIGTERM or SIGINT: it then finishes the job in hand and returns.

    A second signal ends the process at once. Raises RedisMissing, CatalogError, RuntimeMissing
    and TracingMissing, whose messages say what to do.
    """
    settings = settings or WorkerSettings()
    queue_settings = queue_settings or QueueSettings()
    configure_logging(settings)
    allocator.configure()
    if not queue_settings.redis_url:
        raise RedisMissing("Set ANYSR_REDIS_URL to the Redis of the gateway.")
    if hasattr(os, "nice"):
        os.nice(settings.nice)
    queue = RedisQueue.connect(queue_settings.redis_url, queue_settings)
    with (
        contextlib.closing(tracing_of(os.environ, "anysr-worker")) as tracing,
        asyncio.Runner(loop_factory=_event_loop()) as runner,
    ):
        runner.run(_serve(settings, queue_settings, queue, tracing))


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the gateway's kind of event loop, where it can be had: a job is half a
    dozen calls to Redis, which cost a third less on it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def _serve(
    settings: WorkerSettings, queue_settings: QueueSettings, queue: RedisQueue, tracing: Tracing
) -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    beat_s = min(BEAT_S, queue_settings.pulse_ttl_seconds / 3)
    machine = MachineWatch(Machine(lambda: find_gpu(os.environ)).sample, beat_s)
    calls = ReloadRequests()
    heartbeat = Heartbeat(
        queue.registry, _worker_id(), metrics, beat_s, lambda: machine.state, calls
    )
    loader = _loader(settings)
    with _metrics_server(settings, registry), machine:
        async with _stopping(settings, calls) as stopping, heartbeat.beating():
            slot = ModelSlot(await asyncio.to_thread(loader.first))
            allocator.trim()
            heartbeat.warm(slot.loaded)
            log.info("%s is ready: %s", heartbeat.worker_id, ", ".join(slot.loaded.zoo))
            renew_s = min(queue_settings.lease_seconds / 3, LONGEST_RENEWAL_S)
            limits = Limits(settings.max_source_pixels, settings.max_output_pixels)
            parts = WorkerParts(queue.leases, slot, heartbeat, metrics, tracing, limits, renew_s)
            worker = Worker(parts)
            reloader = Reloader(calls, loader, slot, heartbeat, worker.turn)
            again = Remeasurer(loader, slot, worker.turn, lambda: worker.idle_s)
            rest = Rest(slot, worker.turn, lambda: worker.idle_s)
            async with contextlib.AsyncExitStack() as stack:
                for work in (reloader.run(), again.run(), rest.run()):
                    await stack.enter_async_context(background_task(work))
                await worker.run(stopping)
            loader.keep(slot.loaded)
    await queue.close()


def _loader(settings: WorkerSettings) -> ModelLoader:
    threads = settings.worker_threads or available_cores()
    settings = settings.model_copy(update={"worker_threads": threads})
    folder = kept_folder(settings.calibration_folder, os.environ)
    return ModelLoader(settings.models_folder or SHIPPED, settings, folder)


def _worker_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"


@contextlib.contextmanager
def _metrics_server(settings: WorkerSettings, registry: CollectorRegistry) -> Iterator[None]:
    if not settings.worker_metrics_port:
        yield
        return
    port, host = settings.worker_metrics_port, settings.worker_metrics_host
    server, thread = start_http_server(port, host, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.asynccontextmanager
async def _stopping(
    settings: WorkerSettings, calls: ReloadRequests
) -> AsyncIterator[asyncio.Event]:
    """Yield the event that says that this worker is to end; pass on the signal to reload."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(1)  # the making thread cannot be interrupted in any gentler way
        log.info("stopping: the job in hand is finished first")
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(on_hangup(calls.request, on_signal))
        if settings.exit_with_parent:
            await stack.enter_async_context(background_task(_watch_parent(stopping)))
        yield stopping


async def _watch_parent(stopping: asyncio.Event) -> None:
    parent = os.getppid()
    while not await wait_for_event(stopping, PARENT_LOOK_S):
        if os.getppid() != parent:
            log.warning("stopping: the process that started this worker is gone")
            stopping.set()


if __name__ == "__main__":
    try:
        run()
    except (CatalogError, RedisMissing, RuntimeMissing, TracingMissing) as error:
        sys.exit(str(error))
