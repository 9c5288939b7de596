"""URLs of a cluster: redis+cluster://host,host.

redis-py has a client of clusters but no URL with several nodes for it; this form is what other
clients call it, and like that of `jobs.sentinel_url`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jobs.hosts_url import read_hosts_url

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
    parts = read_hosts_url(url, FORM, DEFAULT_PORT)
    if parts.path or parts.query:
        raise ValueError(f"must have the form {FORM}: a cluster has one database, and no options")
    return ClusterUrl(
        addresses=parts.addresses,
        tls=parts.scheme.startswith("rediss"),
        username=parts.username,
        password=parts.password,
    )
