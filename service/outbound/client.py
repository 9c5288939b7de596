"""Client for addresses that callers name: every request and every redirect is checked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

import httpx

from jobs.errors import RemoteTooSlow, RemoteUnreachable, TooManyRedirects
from service.outbound.addresses import AllowedAddresses
from service.outbound.resolution import Resolver, SystemResolver, allowed_addresses
from service.outbound.transport import GuardedTransport
from service.outbound.urls import parse_url
from telemetry.build import package_version

MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
AS_IT_IS = {"Accept-Encoding": "identity"}
"""A body that is not compressed: what arrives is what is counted."""

UrlCheck = Callable[[httpx.URL], None]
"""Raises where a URL, the first one or a redirect's, is not wanted."""


@dataclass(frozen=True)
class TimeBounds:
    """Seconds: to connect, between two pieces of a body, and for everything."""

    total_s: float
    connect_s: float = 5.0
    read_s: float = 10.0

    def for_httpx(self) -> httpx.Timeout:
        """Return the bounds of single steps."""
        return httpx.Timeout(self.read_s, connect=self.connect_s, pool=self.total_s)


class OutboundClient:
    """Sends requests to checked addresses; no proxy, cookie or credential is added.

    `ports` are allowed beside 80 and 443. The caller closes it.
    """

    def __init__(
        self,
        allowed: AllowedAddresses,
        ports: Collection[int] = (),
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._ports = frozenset(ports)
        self._resolver = resolver or SystemResolver()
        self._tls = tls

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """Made with the first request: reading the certificates takes 20 ms."""
        # trust_env: for SSL_CERT_FILE and SSL_CERT_DIR, by which operators name their own CA.
        tls = self._tls or httpx.create_ssl_context(trust_env=True)
        return httpx.AsyncClient(
            transport=GuardedTransport(self._allowed, self._resolver, tls),
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": f"anysr-serve/{package_version()}", **AS_IT_IS},
        )

    def parse(self, url: str, schemes: Collection[str] = ("http", "https")) -> httpx.URL:
        """Return the URL of a text. Raises as `parse_url`."""
        return parse_url(url, self._ports, schemes)

    async def check(self, url: str, schemes: Collection[str] = ("http", "https")) -> None:
        """Check a URL to which a request will be sent later, and which is checked anew then.

        Raises AddressRefused, and RemoteUnreachable if its host has no address.
        """
        host = self.parse(url, schemes).raw_host.decode("ascii")
        await allowed_addresses(host, self._allowed, self._resolver)

    @asynccontextmanager
    async def sent(
        self,
        method: str,
        url: str,
        within: TimeBounds,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Send a request, and yield its response, whatever its status; its body is not read yet.
        Content that comes in parts needs the header Content-Length.

        The block must end within `within.total_s` as well. Raises AddressRefused, RemoteTooSlow and
        RemoteUnreachable, also where the block reads the body.
        """
        request = self._client.build_request(
            method,
            self.parse(url),
            headers=dict(headers or {}),
            content=content,
            timeout=within.for_httpx(),
        )
        async with _within(within):
            response = await self._client.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()

    @asynccontextmanager
    async def fetched(
        self,
        url: str,
        within: TimeBounds,
        check: UrlCheck = lambda _: None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """GET a URL, following redirects, and yield the response as `sent` does.

        `check` sees the URL and that of each redirect before anything is sent to it. Raises as
        `sent` does, and TooManyRedirects.
        """
        async with _within(within):
            for _ in range(1 + MOST_REDIRECTS):
                check(self.parse(url))
                async with self.sent("GET", url, within, headers) as response:
                    if response.status_code not in REDIRECTS:
                        yield response
                        return
                    url = _redirected(response)
        raise TooManyRedirects(
            f"The URL redirects more than {MOST_REDIRECTS} times, or in a circle."
        )

    async def close(self) -> None:
        """Close all connections."""
        if "_client" in vars(self):
            await self._client.aclose()


@asynccontextmanager
async def _within(bounds: TimeBounds) -> AsyncIterator[None]:
    """Bound the time of a block, and make of httpx's errors those of this service. What a remote
    said is given to no caller: it may come from where they cannot reach."""
    try:
        async with asyncio.timeout(bounds.total_s):
            yield
    except (TimeoutError, httpx.TimeoutException):
        raise RemoteTooSlow() from None
    except httpx.HTTPError:
        raise RemoteUnreachable() from None


def _redirected(response: httpx.Response) -> str:
    location = response.headers.get("location")
    if not location:
        raise RemoteUnreachable("The URL redirects, but tells no place.")
    try:
        return str(response.url.join(location))
    except (httpx.InvalidURL, ValueError):
        raise RemoteUnreachable("The URL redirects to one that cannot be read.") from None
