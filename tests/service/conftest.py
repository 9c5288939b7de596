"""Fixtures: a gateway on a real port, a real queue behind it, and a scripted worker.

Test files go by endpoint, over real HTTP, or by module:

- test_upscale_http: upscale_api, submission, dispatcher, picture_response
- test_bad_inputs_http: uploads, form, lingering_close, and the refusals of planning
- test_uploads_http: uploads, body, upload_slots, allocator
- test_results_http: result_room, sliced_response, and the end of a result
- test_trusted_hosts: trusted_hosts
- test_jobs_http: jobs_api, events, dispatcher
- test_estimate_http: estimate_api, budgets, answers.estimate
- test_status_http: models_api, answers.models, answers.health, openapi, docs_page, request_log
- test_admin_http: admin_api, catalog_store
- test_metrics_http: metrics, request_log
- batches: batches, batches_api, answers.batch
- access: access, by what is limited; test_key_file, test_rate_headers: the module of that name
- page, test_page_types: static; test_docs_page: docs_page; in a Chromium
- test_forms_http: form, form_preamble; test_head_http: head_requests; test_negotiation: negotiation
- result_cache: result_cache, over HTTP and by module
- links: links_api, links; by module, and over HTTP
- test_stored_uploads_http: uploads_api, stored_uploads, and results in a bucket
- inference: inference, and finished_picture; by requests written by hand, and by Triton's client
- outbound: outbound, module by module; sources: sources, and uploads of no body
- test_generated_clients: openapi, by the clients that generators make of it
- test_admission, test_budgets, test_connections, test_gateway_settings, test_picture_response,
  test_problems, test_snapshot, test_spread: the module of that name
- test_caller_gone: caller_gone, and what its errors keep
- test_idle_memory: idle_memory, also in a running gateway
- test_harness: the fixtures themselves

`gateway_process` runs a gateway in a process of its own, to measure its memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from jobs.redis_queue import RedisQueue
from models.catalog import Catalog, CatalogRead
from service.catalog_store import CatalogStore
from service.main import create_app, create_server
from service.settings import GatewaySettings
from tests.service.browser import blank, browser_url, phone
from tests.service.harness import (
    MODEL,
    UNSERVED,
    RunningGateway,
    ScriptedWorker,
    Start,
    model_entry,
)

__all__ = ["blank", "browser_url", "phone"]  # fixtures that live in a file of their own

APART = model_entry(UNSERVED).model_copy(update={"in_ladder": False, "takes_strength": False})
"""A model outside the ladder that no worker has, and that takes no strength."""


@pytest.fixture
def catalog() -> Catalog:
    """Two models; the scripted worker serves only the default one."""
    return Catalog(default=MODEL, models=(model_entry(MODEL), APART))


@pytest.fixture
async def worker(queue: RedisQueue) -> AsyncIterator[ScriptedWorker]:
    """A running worker that has published its heartbeat."""
    worker = ScriptedWorker(queue)
    worker.go.set()
    await worker.heartbeat()
    task = asyncio.create_task(worker.run())
    yield worker
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def start(queue: RedisQueue, catalog: Catalog) -> Start:
    """Start a gateway with the given settings, on a free port."""

    @contextlib.asynccontextmanager
    async def started(
        catalogs: CatalogStore | None = None, other: RedisQueue | None = None, **overrides: Any
    ) -> AsyncIterator[RunningGateway]:
        # `other` is a queue in place of the fixture's.
        # Not stale within a test, however long the machine keeps this loop waiting.
        quick = {"snapshot_seconds": 0.05, "snapshot_stale_seconds": 600, "shutdown_seconds": 5}
        settings = GatewaySettings(**quick | overrides)
        catalogs = catalogs or CatalogStore(lambda _: CatalogRead(catalog))
        app = create_app(settings, other or queue, catalogs)
        server = create_server(settings, app)
        # The protocol is named, for else asyncio leaves Nagle's delays on.
        with socket.socket(proto=socket.IPPROTO_TCP) as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            serving = asyncio.create_task(server.serve([listener]))
            try:
                while not server.started:
                    if serving.done():
                        pytest.fail(f"the gateway ended before it served: {serving}")
                    await asyncio.sleep(0.005)
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                    yield RunningGateway(client, app.state.gateway, port)
            finally:
                server.should_exit = True
                await serving

    return started


@pytest.fixture
async def served(start: Start, worker: ScriptedWorker) -> AsyncIterator[RunningGateway]:
    """A gateway with a ready worker behind it."""
    async with start() as served:
        assert worker.go.is_set()
        yield served
