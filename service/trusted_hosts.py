"""Trusted hosts: refuses requests whose Host header names another site.

A page of a foreign site can make its own name point to this machine (DNS rebinding), and would then
read answers as if they were its own; its requests still carry its name.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from http import HTTPStatus

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import problems
from service.settings import GatewaySettings

LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})
ANY = "*"
LONGEST_ADDRESS = 45
"""Characters of an IPv6 address that ends with an IPv4 address."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def trusted_hosts_of(settings: GatewaySettings) -> tuple[str, ...]:
    """Return the names and addresses to trust beside loopback and the address that a connection
    came to; `("*",)` trusts all: the default of a gateway that listens on every address."""
    if settings.trusted_hosts:
        return tuple(host.lower() for host in settings.trusted_hosts)
    return (ANY,) if is_wildcard(settings.host) else (settings.host.lower(),)


def is_wildcard(host: str) -> bool:
    """Return whether a server bound to this host listens on every address."""
    address = _address(host)
    return host == "" or (address is not None and address.is_unspecified)


def is_loopback(host: str) -> bool:
    """Return whether a server bound to this host is reached by its own machine alone."""
    address = _address(host)
    return host.lower() in LOOPBACK_NAMES or (address is not None and address.is_loopback)


class TrustedHosts:
    """ASGI middleware: answers 421 to a Host header that is not trusted, and makes redirects
    relative, so that none repeats the header.

    A host is a name, `*.name` for all names below one, or an address. Requests without the header,
    which no browser sends, are served.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self._app = app
        self._all = ANY in hosts
        self._exact = frozenset(hosts) | LOOPBACK_NAMES
        self._suffixes = tuple(host[1:] for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application if every Host header is trusted."""

        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start":
                _make_location_relative(MutableHeaders(raw=message["headers"]), scope)
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).getlist("host")
        if self._all or all(self._trusts(host_of(value), scope) for value in given):
            await self._app(scope, receive, send_relative)
            return
        text = (
            "The Host header names a host that this gateway does not serve; "
            "ANYSR_TRUSTED_HOSTS lists those that it does."
        )
        request_id, path = scope["state"]["request_id"], problems.path_of(scope)
        refusal = problems.refusal(HTTPStatus.MISDIRECTED_REQUEST, text, request_id, path)
        await refusal(scope, receive, send)

    def _trusts(self, host: str, scope: Scope) -> bool:
        address = _address(host)
        if address is not None and address.is_loopback:
            return True
        if scope.get("server") and host == scope["server"][0]:
            return True
        return host in self._exact or host.endswith(self._suffixes)


def host_of(header: str) -> str:
    """Return the host in a Host header, without port and brackets, in lower case."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].removesuffix(".")


def _address(host: str) -> Address | None:
    # A longer name is no address but one with a zone, and is not worth its place in the cache.
    return _read_address(host) if len(host) <= LONGEST_ADDRESS else _read_address.__wrapped__(host)


@lru_cache(256)
def _read_address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _make_location_relative(headers: MutableHeaders, scope: Scope) -> None:
    """Drop scheme and host of a Location that starlette takes from the Host header; one that leads
    to another host is the service's own."""
    location = headers.get("location", "")
    scheme, separator, rest = location.partition("://")
    host, _, path = rest.partition("/")
    if separator and scheme in ("http", "https") and host == URL(scope=scope).netloc:
        headers["Location"] = "/" + path.lstrip("/")
