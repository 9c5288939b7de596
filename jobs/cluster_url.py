"""URLs of a cluster: redis+cluster://host,host.

redis-py has a client of clusters but no URL with several nodes for it; this form is what other
clients call it, and like that of `jobs.sentinel_url`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

SCHEMES = ("redis+cluster://", "rediss+cluster://")
FORM = "redis+cluster://[user:password@]host[:port][,host[:port]...]"
DEFAULT_PORT = 6379


@dataclass(frozen=True)
class ClusterUrl:
    """Some nodes of a cluster, of which each knows all, and how to enter them."""

    addresses: tuple[tuple[str, int], ...]
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def is_cluster_url(url: str) -> bool:
    """Return whether a URL names nodes of a cluster."""
    return url.startswith(SCHEMES)


def read_cluster_url(url: str) -> ClusterUrl:
    """Return the parts of a URL. Raises ValueError, whose text shows none of its secrets."""
    scheme, netloc, path, query, _ = urlsplit(url)
    entry, _, hosts = netloc.rpartition("@")
    username, _, password = entry.partition(":")
    if not hosts or path.strip("/") or query:
        raise ValueError(f"must have the form {FORM}: a cluster has one database, and no options")
    return ClusterUrl(
        addresses=tuple(_address(host) for host in hosts.split(",")),
        tls=scheme.startswith("rediss"),
        username=unquote(username) or None,
        password=unquote(password) or None,
    )


def _address(text: str) -> tuple[str, int]:
    """Return host and port. Raises ValueError."""
    one = urlsplit(f"//{text}")  # which knows of IPv6 in brackets, and of the range of ports
    if not one.hostname:
        raise ValueError(f"must name a host between commas, in the form {FORM}")
    return one.hostname, DEFAULT_PORT if one.port is None else one.port
