"""Names resolved to addresses that the gateway may connect to: once for each connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from jobs.errors import AddressRefused, RemoteTooSlow, RemoteUnreachable
from service.outbound.addresses import AllowedAddresses, IPAddress
from service.outbound.urls import literal_address

Resolver = Callable[[str], Awaitable[tuple[IPAddress, ...]]]
"""From a name to its addresses; raises OSError where it has none."""

RESOLUTION_S = 5.0
"""Time for which one resolution is awaited."""
RESOLVING_THREADS = 8
"""Resolutions at once. They have threads of their own: getaddrinfo cannot be stopped, and a slow
name server must hold up nothing else."""
MOST_ADDRESSES = 64
"""Addresses of one name that are looked at; a name with more is refused."""


class SystemResolver:
    """The operating system's resolver, with its hosts file and search domains."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVING_THREADS, thread_name_prefix="resolve")

    async def __call__(self, name: str) -> tuple[IPAddress, ...]:
        """Return the addresses of a name, in the order in which to try them. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _resolved, name)
        return tuple(dict.fromkeys(ip_address(address) for address in found))


def _resolved(name: str) -> list[str]:
    entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


async def allowed_addresses(
    host: str, allowed: AllowedAddresses, resolver: Resolver
) -> tuple[IPAddress, ...]:
    """Return the addresses of a URL's host, to connect to without resolving it again.

    Every address must be allowed: of a name with a public and a private one, whoever answers for
    the name could choose. Raises AddressRefused, RemoteTooSlow and RemoteUnreachable, none of
    which tells an address: a caller must not map a network by them.
    """
    literal = literal_address(host)
    found = (literal,) if literal is not None else await _looked_up(host, resolver)
    if len(found) > MOST_ADDRESSES or not all(address in allowed for address in found):
        raise AddressRefused()
    return found


async def _looked_up(host: str, resolver: Resolver) -> tuple[IPAddress, ...]:
    try:
        async with asyncio.timeout(RESOLUTION_S):
            found = await resolver(host)
    except TimeoutError:
        raise RemoteTooSlow() from None
    except (OSError, UnicodeError):  # UnicodeError: a label that the resolver cannot encode
        raise RemoteUnreachable("The URL's host has no address.") from None
    if not found:
        raise RemoteUnreachable("The URL's host has no address.")
    return found
