"""uvicorn server that stops in order and reloads the models at SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable
from types import FrameType

import uvicorn

from jobs.reload_requests import on_hangup
from service.gateway import Gateway
from service.idle_memory import IdleMemory
from service.leaving import leave_at_once
from service.listening import listen_fairly
from service.monitoring import MonitoringServer


class GatewayServer(uvicorn.Server):
    """Ends open event streams first when it stops, so that it waits only for requests in progress.

    `on_reload` is called at each SIGHUP, for other processes of this service; `on_hurry` at a
    second Ctrl-C, during the end in order. The server of `monitoring` runs as long as this one.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        gateway: Gateway,
        on_reload: Callable[[], None],
        monitoring: MonitoringServer | None = None,
        on_hurry: Callable[[], None] = leave_at_once,
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._on_reload = on_reload
        self._monitoring = monitoring
        self._on_hurry = on_hurry

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order; at a second Ctrl-C at once."""
        if self.should_exit and sig == signal.SIGINT:
            self._on_hurry()
        super().handle_exit(sig, frame)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal stops it, then close the queue's connections; reload the models at
        each SIGHUP."""
        try:
            with on_hangup(self._reload, self._stop):
                async with self._monitored(), self._releasing_memory():
                    await super().serve(sockets)
        finally:
            await self._gateway.queue.close()

    def _monitored(self) -> contextlib.AbstractAsyncContextManager[None]:
        return self._monitoring.running() if self._monitoring else contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def _releasing_memory(self) -> AsyncIterator[None]:
        memory = IdleMemory(lambda: self.server_state.total_requests)
        task = asyncio.create_task(memory.run(), name="idle memory")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and accept several connections in each turn of the event loop."""
        await super().startup(sockets)
        if self.started:
            await listen_fairly(self)

    def _reload(self) -> None:
        self._gateway.catalogs.reload_requests.request()
        self._on_reload()

    def _stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop within the settings' `shutdown_seconds`."""
        self._gateway.closing.set()
        await super().shutdown(sockets)
