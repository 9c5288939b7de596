"""httpx transport that connects to checked addresses alone, never to a name."""

from __future__ import annotations

import ssl

import httpx

from jobs.errors import RemoteUnreachable
from service.outbound.addresses import AllowedAddresses, IPAddress
from service.outbound.resolution import Resolver, allowed_addresses

TRIES = 4
"""Addresses of one name that are tried in turn."""
MOST_CONNECTIONS = 128


class GuardedTransport(httpx.AsyncBaseTransport):
    """Resolves a request's host once, checks every address, and connects to one of those. The
    request keeps its Host header, and TLS verifies the name.

    Each request has a connection of its own: one that is kept would be found by its address, and
    two names with one address would share what was verified for one of them.
    """

    def __init__(self, allowed: AllowedAddresses, resolver: Resolver, tls: ssl.SSLContext) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._inner = httpx.AsyncHTTPTransport(
            verify=tls,
            trust_env=False,
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=0),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises AddressRefused, RemoteUnreachable and httpx.TransportError."""
        host = request.url.raw_host.decode("ascii")
        for address in (await allowed_addresses(host, self._allowed, self._resolver))[:TRIES]:
            try:
                return await self._inner.handle_async_request(_pinned(request, host, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent yet
                continue
        raise RemoteUnreachable("No connection to the URL's host could be made.")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def _pinned(request: httpx.Request, host: str, address: IPAddress) -> httpx.Request:
    """Return a request to this address, with the name for TLS."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host.removesuffix(".")},
    )
