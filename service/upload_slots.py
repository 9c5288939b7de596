"""Upload slots: bounds the bodies that the gateway holds at once, in all and for each client."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from starlette.requests import Request

from jobs.errors import Overloaded

RETRY_S = 1
"""Retry-After while too many uploads are in progress."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that name a client: one caller usually owns all addresses below them."""


class UploadSlots:
    """Counts the uploads in progress: at most `most`, and `most_per_client` of each client."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """Hold a slot of a client. Raises Overloaded if none is free."""
        if self._taken.total() >= self._most:
            raise Overloaded("Too many uploads at once.", retry_after_s=RETRY_S)
        if self._taken[client] >= self._most_per_client:
            raise Overloaded("Too many uploads at once from this address.", retry_after_s=RETRY_S)
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


def client_of(request: Request) -> str:
    """Return the network that a request comes from: an IPv4 address, or the first 64 bits of an
    IPv6 address. Callers without an address, such as those on a unix socket, count as one."""
    return _network_of(request.client.host if request.client else "")


@lru_cache(1024)
def _network_of(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
