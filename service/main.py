"""Composition root of the gateway: builds application and server from settings and a queue."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from jobs.bucket import check_bucket
from jobs.connected_queue import connect_queue
from jobs.embedded_redis import redis_server
from jobs.errors import NotDurable
from jobs.queue import JobQueue
from jobs.server_process import RedisUnavailableError
from jobs.settings import QueueSettings
from jobs.settings_errors import SettingsError, settings_of
from models.catalog import SHIPPED, CatalogError, read_valid_entries
from service import (
    admin_api,
    allocator,
    batches_api,
    estimate_api,
    health_api,
    idempotency,
    jobs_api,
    links_api,
    models_api,
    problems,
    uploads_api,
    upscale_api,
)
from service.access.exposure import exposed
from service.access.guard import GUARDED
from service.access.key_store import KeyStore
from service.access.rate_headers import POLICY, STATE
from service.batches.making import Maker, Parts
from service.batches.pace import Pace
from service.batches.working import BatchWorker
from service.body_bounds import BodyReader
from service.catalog_store import CatalogStore
from service.connection_bounds import ConnectionBounds, bounded
from service.deliveries.parts import deliver
from service.dispatcher import Dispatcher
from service.docs_page import ASSETS, docs_page, swagger_files
from service.gateway import Gateway
from service.head_requests import HeadRequests
from service.inference import infer_api, model_api, server_api
from service.inference.protocol import HEADER_LENGTH
from service.leaving import leave_at_once
from service.lingering_close import LingeringClose
from service.metrics import GatewayMetrics
from service.monitoring import monitoring_server
from service.openapi import describe
from service.outbound.addresses import AllowedAddresses, read_networks
from service.outbound.client import OutboundClient, TimeBounds
from service.picture_response import PICTURE_HEADERS
from service.request_log import STATIC, RequestLog
from service.result_cache.cache import ResultCache, bounds_of
from service.result_room import ResultRoom
from service.results.parts import Results
from service.server import GatewayServer
from service.settings import GatewaySettings
from service.snapshot import SnapshotCache
from service.sources.buckets import Bucket, read_buckets
from service.sources.hosts import AllowedHosts
from service.sources.reader import SourceReader
from service.sources.stores import store_client
from service.stored_uploads import StoredUploads
from service.trusted_hosts import ANY, TrustedHosts, trusted_hosts_of
from service.uploads import UploadReader
from service.webhooks.parts import Webhooks
from telemetry.build import package_version
from telemetry.logs import configure_logging
from telemetry.spans import Tracing, Untraced
from telemetry.tracing import TracingMissing, tracing_of

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "static"

DESCRIPTION = """Send a picture, a target scale (any real number from 1 to 8) and a latency budget;
the answer is the best picture that fits the budget. Errors are `application/problem+json`."""


def create_app(
    settings: GatewaySettings,
    queue: JobQueue,
    catalogs: CatalogStore,
    tracing: Tracing | None = None,
) -> FastAPI:
    """Return the application. The caller closes queue and tracing. Raises KeyFileError."""
    gateway = build_gateway(settings, queue, catalogs)
    app = FastAPI(
        title="AnySR Serve",
        version=package_version(),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        # Traces and metrics are ours; FastAPI would look for providers of them at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        # The ids of operations, of which generators make names of functions.
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.gateway = gateway
    problems.install(app)
    state = health_api.public if settings.metrics_port else health_api.full
    guarded = GUARDED if gateway.keys else None
    for part in (
        *(upscale_api, estimate_api, jobs_api, batches_api, uploads_api, models_api),
        *(model_api, infer_api),
    ):
        app.include_router(part.router, dependencies=guarded)
    app.include_router(links_api.router)  # a signature stands for a key
    app.include_router(server_api.router)
    app.include_router(admin_api.router)
    app.include_router(state)
    describe(app)
    _add_pages(app)
    _add_middleware(app, gateway, tracing or Untraced())
    return app


def build_gateway(settings: GatewaySettings, queue: JobQueue, catalogs: CatalogStore) -> Gateway:
    """Return the parts that the routes use. Raises SettingsError for a wrong file of buckets."""
    metrics = GatewayMetrics()
    room = ResultRoom(settings.max_result_bytes_in_flight, ConnectionBounds().write_seconds)
    outbound = build_outbound(settings)
    buckets = read_buckets(settings.buckets)
    stores = store_client(buckets)
    sources = build_sources(settings, outbound, buckets, stores, metrics)
    snapshots = SnapshotCache(queue, settings.snapshot_seconds, settings.stale_s, time.monotonic)
    keys = KeyStore(settings.keys) if settings.keys else None
    uploads = UploadReader(settings, sources, StoredUploads(queue.uploads, settings))
    dispatcher = Dispatcher(
        queue.submissions, queue.registry, snapshots, catalogs, settings, metrics, room
    )
    pace = Pace(queue.submissions, snapshots)
    making = Parts(settings, queue.submissions, uploads, dispatcher, catalogs, metrics, keys, pace)
    cache = ResultCache(
        queue.cached, bounds_of(settings), catalogs, snapshots, dispatcher, room, metrics
    )
    return Gateway(
        settings=settings,
        queue=queue,
        catalogs=catalogs,
        metrics=metrics,
        snapshots=snapshots,
        dispatcher=dispatcher,
        uploads=uploads,
        room=room,
        webhooks=Webhooks(settings, outbound),
        results=Results(queue.submissions, room, settings, outbound, buckets, stores, metrics),
        batches=BatchWorker(queue.batches, Maker(making), settings.batch_jobs),
        outbound=outbound,
        cache=cache if settings.cache_mb else None,
        keys=keys,
    )


def build_outbound(settings: GatewaySettings) -> OutboundClient:
    """Return the client for URLs that callers name."""
    private = read_networks(settings.outbound_allow_private)
    return OutboundClient(AllowedAddresses(private), settings.outbound_ports)


def build_sources(
    settings: GatewaySettings,
    outbound: OutboundClient,
    buckets: Mapping[str, Bucket],
    stores: OutboundClient,
    metrics: GatewayMetrics,
) -> SourceReader:
    """Return the reader of pictures that requests name."""
    return SourceReader(
        BodyReader(settings),
        TimeBounds(settings.upload_timeout_seconds),
        AllowedHosts(settings.sources),
        outbound,
        buckets,
        stores,
        metrics,
    )


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    gateway: Gateway = app.state.gateway
    if ANY in trusted_hosts_of(gateway.settings):
        log.info("requests for every host name are answered; ANYSR_TRUSTED_HOSTS would bound them")
    if warning := exposed(gateway.settings):
        log.warning("%s", warning)
    await gateway.snapshots.refresh()
    polling = gateway.catalogs.poll_reload_requests(
        gateway.queue.registry, gateway.settings.snapshot_seconds
    )
    tasks = [
        asyncio.create_task(gateway.snapshots.keep_fresh(), name="snapshots"),
        asyncio.create_task(gateway.catalogs.follow_reload_requests(), name="catalog"),
        asyncio.create_task(polling, name="reload requests"),
        asyncio.create_task(deliver(gateway), name="deliveries"),
        asyncio.create_task(gateway.batches.run(), name="batches"),
    ]
    if gateway.queue.upkeep is not None:
        tasks.append(asyncio.create_task(gateway.queue.upkeep.run(), name="bucket"))
    if gateway.keys is not None:
        tasks.append(asyncio.create_task(gateway.keys.follow(), name="keys"))
    if gateway.cache is not None:
        tasks.append(asyncio.create_task(gateway.cache.follow(), name="result cache"))
    try:
        yield
    finally:
        if gateway.cache is not None:
            await gateway.cache.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await gateway.dispatcher.close()
        await gateway.uploads.close()
        await gateway.outbound.close()


def _add_pages(app: FastAPI) -> None:
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.add_api_route("/", page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_route("/docs", docs_page, include_in_schema=False)
    app.mount(ASSETS, swagger_files(), name="swagger")
    app.mount(STATIC, StaticFiles(directory=PAGE), name="static")


def _add_middleware(app: FastAPI, gateway: Gateway, tracing: Tracing) -> None:
    # The last one added is the outermost.
    app.add_middleware(problems.UnhandledErrorMiddleware)
    app.add_middleware(HeadRequests)
    if gateway.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=gateway.settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=[
                *("Content-Type", "X-Request-ID", "traceparent", "Authorization"),
                *(idempotency.HEADER, HEADER_LENGTH),
            ],
            expose_headers=[
                *(*PICTURE_HEADERS, "X-Correlation-ID", "Location", "Retry-After"),
                *(POLICY, STATE, "WWW-Authenticate", idempotency.REPLAYED, HEADER_LENGTH),
            ],
        )
    app.add_middleware(TrustedHosts, hosts=trusted_hosts_of(gateway.settings))
    app.add_middleware(LingeringClose)
    app.add_middleware(RequestLog, metrics=gateway.metrics, tracing=tracing)


def create_server(
    settings: GatewaySettings,
    app: FastAPI,
    on_reload: Callable[[], None] = lambda: None,
    on_hurry: Callable[[], None] = leave_at_once,
) -> GatewayServer:
    """Return the server of an application; it closes the application's queue when it ends.

    At each SIGHUP the gateway reloads its catalog and calls `on_reload`, at a second Ctrl-C
    `on_hurry`.
    """
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=bounded(ConnectionBounds().within_descriptors()),
        log_level=settings.log_level,
        log_config=None,
        root_path=settings.root_path,
        ws="none",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    gateway: Gateway = app.state.gateway
    return GatewayServer(config, gateway, on_reload, monitoring_server(gateway), on_hurry)


async def check_durable(url: str, settings: QueueSettings) -> None:
    """Raise SettingsError where the queue's Redis cannot keep jobs durably. One that cannot be
    reached yet is asked with each job that comes."""
    queue = connect_queue(url, settings)
    try:
        await queue.submissions.check_durable()
    except NotDurable as error:
        raise SettingsError(f"ANYSR_DURABLE: {error}") from None
    except ConnectionError as error:
        log.warning("whether jobs can be durable is not known yet: %s", error)
    finally:
        await queue.close()


def run(
    settings: GatewaySettings | None = None,
    queue_settings: QueueSettings | None = None,
    on_reload: Callable[[], None] = lambda: None,
    on_hurry: Callable[[], None] = leave_at_once,
) -> None:
    """Serve until SIGINT or SIGTERM, with a private Redis if the settings name none. A second
    SIGINT calls `on_hurry`.

    Raises SettingsError (also for a bucket that is missing or denies), CatalogError,
    RedisUnavailableError and TracingMissing, whose messages say what to do.
    """
    settings = settings or settings_of(GatewaySettings)
    queue_settings = queue_settings or settings_of(QueueSettings)
    configure_logging(settings)
    allocator.configure()
    check_bucket(queue_settings)
    catalogs = CatalogStore(partial(read_valid_entries, settings.models_folder or SHIPPED))
    with (
        contextlib.closing(tracing_of(os.environ, "anysr-gateway")) as tracing,
        redis_server(queue_settings) as url,
    ):
        if settings.durable:
            asyncio.run(check_durable(url, queue_settings))
        queue = connect_queue(url, queue_settings)
        app = create_app(settings, queue, catalogs, tracing)
        gc.collect()  # what is garbage now would be exempt as well
        gc.freeze()  # what lives now lives on: a full collection would visit it during a request
        create_server(settings, app, on_reload, on_hurry).run()


if __name__ == "__main__":
    try:
        run()
    except (CatalogError, RedisUnavailableError, SettingsError, TracingMissing) as error:
        sys.exit(str(error))
