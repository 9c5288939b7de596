"""URLs of a Redis that Sentinel watches: redis+sentinel://host,host/service.

redis-py has clients of Sentinel but no URL for them; this form is what other clients call it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from jobs.hosts_url import read_hosts_url

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
    parts = read_hosts_url(url, FORM, DEFAULT_PORT)
    service, _, database = parts.path.partition("/")
    options = dict(parse_qsl(parts.query))
    if not service or options.keys() - OPTIONS:
        raise ValueError(f"must have the form {FORM}, with no options but {sorted(OPTIONS)}")
    if not (database or "0").isdecimal():
        raise ValueError("must end with the number of a database, or with the service")
    return SentinelUrl(
        addresses=parts.addresses,
        service=unquote(service),
        database=int(database or 0),
        tls=parts.scheme.startswith("rediss"),
        username=parts.username,
        password=parts.password,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
    )
