"""URLs of a Redis that Sentinel watches: redis+sentinel://host,host/service.

redis-py has clients of Sentinel but no URL for them; this form is what other clients call it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
FORM = "redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/database]"
DEFAULT_PORT = 26379
OPTIONS = frozenset({"sentinel_username", "sentinel_password"})


@dataclass(frozen=True)
class SentinelUrl:
    """Where the sentinels are, which service they watch, and how to enter both."""

    addresses: tuple[tuple[str, int], ...]
    service: str
    """Name under which the sentinels know the primary and its replicas."""
    database: int = 0
    tls: bool = False
    """Whether sentinels and servers are spoken to over TLS."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)


def is_sentinel_url(url: str) -> bool:
    """Return whether a URL names sentinels."""
    return url.startswith(SCHEMES)


def read_sentinel_url(url: str) -> SentinelUrl:
    """Return the parts of a URL. Raises ValueError, whose text shows none of its secrets."""
    scheme, netloc, path, query, _ = urlsplit(url)
    entry, _, hosts = netloc.rpartition("@")
    username, _, password = entry.partition(":")
    service, _, database = path.strip("/").partition("/")
    options = dict(parse_qsl(query))
    if not service or not hosts or options.keys() - OPTIONS:
        raise ValueError(f"must have the form {FORM}, with no options but {sorted(OPTIONS)}")
    if not (database or "0").isdecimal():
        raise ValueError("must end with the number of a database, or with the service")
    return SentinelUrl(
        addresses=tuple(_address(host) for host in hosts.split(",")),
        service=unquote(service),
        database=int(database or 0),
        tls=scheme.startswith("rediss"),
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
    )


def _address(text: str) -> tuple[str, int]:
    """Return host and port. Raises ValueError."""
    one = urlsplit(f"//{text}")  # which knows of IPv6 in brackets, and of the range of ports
    if not one.hostname:
        raise ValueError(f"must name a host between commas, in the form {FORM}")
    return one.hostname, DEFAULT_PORT if one.port is None else one.port
