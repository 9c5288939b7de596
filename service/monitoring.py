"""A port of its own for health and metrics, so that callers of the service cannot read them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from service import health_api, problems
from service.connection_bounds import ConnectionBounds, bounded
from service.gateway import Gateway
from service.head_requests import HeadRequests
from service.request_log import RequestLog
from service.trusted_hosts import TrustedHosts, trusted_hosts_of
from telemetry.spans import Untraced

log = logging.getLogger(__name__)


class MonitoringServer(uvicorn.Server):
    """A server beside the gateway's, in its event loop. Signals are the gateway's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers of signals as they are."""
        yield

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs. Raises SystemExit if the port cannot be opened."""
        # Opened before the gateway answers, so that a wrong port is known at the start.
        try:
            listener = self.config.bind_socket()
        except SystemExit:
            address = f"{self.config.host}:{self.config.port}"
            log.error("the address of ANYSR_METRICS_PORT cannot be opened: %s", address)
            raise
        serving = asyncio.create_task(self.serve([listener]), name="monitoring")
        try:
            yield
        finally:
            self.should_exit = True
            await serving


def monitoring_server(gateway: Gateway) -> MonitoringServer | None:
    """Return the server of a gateway's health and metrics; None if they share its port."""
    settings = gateway.settings
    if not settings.metrics_port:
        return None
    config = uvicorn.Config(
        monitoring_app(gateway),
        host=settings.host if settings.metrics_host is None else settings.metrics_host,
        port=settings.metrics_port,
        http=bounded(ConnectionBounds().within_descriptors()),
        lifespan="off",
        log_level=settings.log_level,
        log_config=None,
        ws="none",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return MonitoringServer(config)


def monitoring_app(gateway: Gateway) -> FastAPI:
    """Return the application with nothing but health and metrics."""
    app = FastAPI(title="AnySR Serve, monitoring", openapi_url=None)
    app.state.gateway = gateway
    problems.install(app)
    app.include_router(health_api.full)
    # The last one added is the outermost.
    app.add_middleware(problems.UnhandledErrorMiddleware)
    app.add_middleware(HeadRequests)
    app.add_middleware(TrustedHosts, hosts=trusted_hosts_of(gateway.settings))
    app.add_middleware(RequestLog, metrics=gateway.metrics, tracing=Untraced())
    return app
