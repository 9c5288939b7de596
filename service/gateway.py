"""The parts of a gateway that the routes use, built once by the composition root."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from jobs.queue import JobQueue
from service.access.key_store import KeyStore
from service.batches.working import BatchWorker
from service.catalog_store import CatalogStore
from service.dispatcher import Dispatcher
from service.metrics import GatewayMetrics
from service.outbound.client import OutboundClient
from service.result_cache.cache import ResultCache
from service.result_room import ResultRoom
from service.results.parts import Results
from service.settings import GatewaySettings
from service.snapshot import SnapshotCache
from service.uploads import UploadReader
from service.webhooks.parts import Webhooks


@dataclass(frozen=True)
class Gateway:
    """The parts of one gateway. `closing` is set when the process is about to stop."""

    settings: GatewaySettings
    queue: JobQueue
    catalogs: CatalogStore
    metrics: GatewayMetrics
    snapshots: SnapshotCache
    dispatcher: Dispatcher
    uploads: UploadReader
    room: ResultRoom
    webhooks: Webhooks
    batches: BatchWorker
    results: Results
    outbound: OutboundClient
    """Connects to URLs that callers name."""
    cache: ResultCache | None = None
    """None where no results are kept."""
    keys: KeyStore | None = None
    """None where nobody needs a key."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)


def gateway_of(request: Request) -> Gateway:
    """Return the gateway of the application that received a request. The routes that upscale call
    it themselves: to have it injected takes FastAPI as long as reading the header of a picture."""
    gateway = request.app.state.gateway
    if not isinstance(gateway, Gateway):
        raise TypeError("the application was not built by service.main.create_app")
    return gateway


async def _injected(request: Request) -> Gateway:
    """Return the same. Asynchronous, because FastAPI calls other functions on a thread."""
    return gateway_of(request)


GatewayDep = Annotated[Gateway, Depends(_injected)]
"""Parameter of a route that FastAPI fills with the gateway."""
