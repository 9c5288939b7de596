"""URLs that name several hosts, between commas.

`urllib.parse.urlsplit` knows one host, and in newer Pythons refuses an IPv6 address behind another
host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

PARTS = re.compile(r"([^:/?#]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
"""Scheme, authority, path and query (RFC 3986, appendix B)."""


@dataclass(frozen=True)
class HostsUrl:
    """The parts of a URL; user and password are decoded."""

    scheme: str
    username: str | None
    password: str | None
    addresses: tuple[tuple[str, int], ...]
    path: str
    """Without the slashes at its ends."""
    query: str


def read_hosts_url(url: str, form: str, default_port: int) -> HostsUrl:
    """Return the parts of a URL of a `form`, of which errors tell. Raises ValueError, whose text
    shows none of its secrets."""
    parts = PARTS.fullmatch(url)
    if parts is None:
        raise ValueError(f"must have the form {form}")
    scheme, authority, path, query = parts.groups(default="")
    entry, _, hosts = authority.rpartition("@")
    username, _, password = entry.partition(":")
    return HostsUrl(
        scheme=scheme,
        username=unquote(username) or None,
        password=unquote(password) or None,
        addresses=tuple(_address(host, form, default_port) for host in hosts.split(",")),
        path=path.strip("/"),
        query=query,
    )


def _address(text: str, form: str, default_port: int) -> tuple[str, int]:
    """Return host and port. Raises ValueError."""
    one = urlsplit(f"//{text}")  # which knows of IPv6 in brackets, and of the range of ports
    if not one.hostname:
        raise ValueError(f"must name a host between commas, in the form {form}")
    return one.hostname, default_port if one.port is None else one.port
