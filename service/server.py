"""uvicorn, told what a gateway needs when it stops, and when its models are to be read again."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from jobs.reload_requests import on_hangup
from service.gateway import Gateway


class GatewayServer(uvicorn.Server):
    """Ends open event streams first when it must stop, so that only real work is waited for.

    `on_reload` passes SIGHUP on to whatever else runs in this process tree.
    """

    def __init__(
        self, config: uvicorn.Config, gateway: Gateway, on_reload: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._on_reload = on_reload

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, then close the queue's connections; read the models again at
        each SIGHUP."""
        try:
            with on_hangup(self._reload, self._stop):
                await super().serve(sockets)
        finally:
            await self._gateway.queue.close()

    def _reload(self) -> None:
        self._gateway.catalogs.calls.request()
        self._on_reload()

    def _stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop within the settings' `shutdown_seconds`."""
        self._gateway.closing.set()
        await super().shutdown(sockets)
