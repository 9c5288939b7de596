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

from images.malloc import trim
from jobs.bucket import check_bucket
from jobs.connected_queue import connect_queue
from jobs.queue import JobQueue
from jobs.reload_requests import ReloadRequests, on_hangup
from jobs.settings import QueueSettings
from jobs.settings_errors import SettingsError, settings_of
from models.catalog import SHIPPED, CatalogError
from telemetry.logs import configure_logging
from telemetry.spans import Tracing
from telemetry.tracing import TracingMissing, tracing_of
from workers import allocator, blas
from workers.background import background_task, wait_for_event
from workers.cache_files import cache_folder
from workers.current_models import CurrentModels
from workers.decoders import decoders_of
from workers.garbage import settle
from workers.gpu import find_gpu
from workers.heartbeat import Heartbeat
from workers.idle_memory import IdleMemory
from workers.keepalive import sending_keepalive
from workers.machine import Machine, MachineWatch, available_cores, available_memory
from workers.memory import warn_of_little_memory
from workers.metrics import WorkerMetrics
from workers.model_loader import ModelLoader
from workers.reloading import Reloader
from workers.remeasuring import Remeasurer
from workers.runtimes.base import RuntimeMissing
from workers.settings import WorkerSettings
from workers.watchdog import Watchdog
from workers.worker import Worker, WorkerParts

log = logging.getLogger("anysr.workers")

HEARTBEAT_S = 1.0
MAX_RENEWAL_S = 1.0
"""Longest interval between renewals of a lease, which also detect cancellation."""
PARENT_POLL_S = 1.0


class RedisMissing(ValueError):
    """ANYSR_REDIS_URL is not set."""


def run(
    settings: WorkerSettings | None = None, queue_settings: QueueSettings | None = None
) -> None:
    """Run one worker until SIGTERM or SIGINT; return when the current job has ended.

    A second signal ends the process at once. Raises SettingsError, RedisMissing, CatalogError,
    RuntimeMissing and TracingMissing; their messages name the remedy.
    """
    settings = settings or settings_of(WorkerSettings)
    queue_settings = queue_settings or settings_of(QueueSettings)
    configure_logging(settings)
    allocator.configure()
    blas.use_one_thread()
    if not queue_settings.redis_url:
        raise RedisMissing("Set ANYSR_REDIS_URL to the Redis of the gateway.")
    check_bucket(queue_settings)
    if hasattr(os, "nice"):
        os.nice(settings.nice)
    queue = connect_queue(queue_settings.redis_url, queue_settings)
    with (
        contextlib.closing(tracing_of(os.environ, "anysr-worker")) as tracing,
        asyncio.Runner(loop_factory=_event_loop()) as runner,
    ):
        runner.run(_serve(settings, queue_settings, queue, tracing))


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory if it is installed: the calls to Redis of a job, about six, cost a
    third less on it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(
    settings: WorkerSettings, queue_settings: QueueSettings, queue: JobQueue, tracing: Tracing
) -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    heartbeat_s = min(HEARTBEAT_S, queue_settings.pulse_ttl_seconds / 3)
    machine = MachineWatch(Machine(lambda: find_gpu(os.environ)).sample, heartbeat_s)
    requests = ReloadRequests()
    heartbeat = Heartbeat(
        *(queue.registry, _worker_id(), metrics, heartbeat_s, lambda: machine.state, requests),
        replaces_silent=settings.replaces_silent,
    )
    loader = _loader(settings)
    decoding = decoders_of(settings, metrics)  # the process loads beside the models
    with _metrics_server(settings, registry), machine, decoding as decoders:
        async with (
            sending_keepalive(settings.keepalive_fd),
            _stopping(settings, requests) as stopping,
            heartbeat.beating(),
        ):
            current = CurrentModels(await asyncio.to_thread(loader.load_all))
            settle()
            trim()
            heartbeat.warm(current.loaded)
            log.info("%s is ready: %s", heartbeat.worker_id, ", ".join(current.loaded.models))
            warn_of_little_memory(settings.limits, machine.state)
            renew_s = min(queue_settings.lease_seconds / 3, MAX_RENEWAL_S)
            watchdog = Watchdog(settings.stuck_seconds, queue.registry.count_stuck_worker)
            parts = WorkerParts(
                *(queue.leases, current, heartbeat, metrics, tracing),
                *(settings.limits, watchdog, renew_s),
                available_memory=lambda: available_memory(machine.state),
                decoders=decoders,
            )
            worker = Worker(parts)
            memory = IdleMemory(
                current, worker.between_jobs, lambda: worker.idle_s, settings.unload_seconds
            )
            reloader = Reloader(requests, loader, current, heartbeat, memory.measuring)
            remeasurer = Remeasurer(loader, current, memory.measuring, lambda: worker.idle_s)
            async with contextlib.AsyncExitStack() as stack:
                for work in (watchdog.run(), reloader.run(), remeasurer.run(), memory.run()):
                    await stack.enter_async_context(background_task(work))
                await worker.run(stopping)
            loader.save_contention(current.loaded)
    await queue.close()


def _loader(settings: WorkerSettings) -> ModelLoader:
    threads = settings.worker_threads or available_cores()
    settings = settings.model_copy(update={"worker_threads": threads})
    folder = cache_folder(settings.calibration_folder, os.environ)
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
    settings: WorkerSettings, requests: ReloadRequests
) -> AsyncIterator[asyncio.Event]:
    """Yield the event that SIGTERM and SIGINT set; SIGHUP requests a reload."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(1)  # the executing thread cannot be stopped otherwise
        log.info("stopping: the current job is finished first")
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(on_hangup(requests.request, on_signal))
        if settings.exit_with_parent:
            await stack.enter_async_context(background_task(_watch_parent(stopping)))
        yield stopping


async def _watch_parent(stopping: asyncio.Event) -> None:
    parent = os.getppid()
    while not await wait_for_event(stopping, PARENT_POLL_S):
        if os.getppid() != parent:
            log.warning("stopping: the process that started this worker is gone")
            stopping.set()


if __name__ == "__main__":
    try:
        run()
    except (CatalogError, RedisMissing, RuntimeMissing, SettingsError, TracingMissing) as error:
        sys.exit(str(error))
