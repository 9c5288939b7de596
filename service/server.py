"""uvicorn, told what a gateway needs when it stops."""

from __future__ import annotations

import socket

import uvicorn

from service.gateway import Gateway


class GatewayServer(uvicorn.Server):
    """Ends open event streams first when it must stop, so that only real work is waited for."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, then close the queue's connections."""
        try:
            await super().serve(sockets)
        finally:
            await self._gateway.queue.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop within the settings' `shutdown_seconds`."""
        self._gateway.closing.set()
        await super().shutdown(sockets)
