"""URLs that callers name: parsed, and refused where parsers could disagree about them."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import httpx

from jobs.errors import AddressRefused
from service.outbound.addresses import IPAddress

LONGEST_URL = 8192
"""Characters; presigned URLs with a session token have up to 3,000."""
DEFAULT_PORTS = {"http": 80, "https": 443}
UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
"""Characters that parsers drop, or take for others."""
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label of which a resolver makes a number, and of the whole name an IPv4 address."""
LONGEST_NAME = 253


def parse_url(
    text: str, ports: Collection[int] = (), schemes: Collection[str] = ("http", "https")
) -> httpx.URL:
    """Return the URL of a text.

    Its port is that of its scheme, or one of `ports`. Raises AddressRefused for other schemes and
    ports, credentials, and hosts that are neither a name of DNS nor an IP address as written by
    everyone: no decimal, octal, hexadecimal or shortened IPv4 address, and no zone.
    """
    url = _split(text)
    if url.scheme not in schemes:
        raise AddressRefused(f"The URL must begin with {' or '.join(f'{s}://' for s in schemes)}.")
    if url.userinfo or "@" in _authority(text):  # httpx drops an empty user name
        raise AddressRefused("The URL has a user name or password; send it without.")
    check_host(url.raw_host.decode("ascii", "replace"))
    if port_of(url) not in {DEFAULT_PORTS[url.scheme], *ports}:
        raise AddressRefused(
            f"The URL's port is {port_of(url)}; allowed is that of its scheme, and those in "
            "ANYSR_OUTBOUND_PORTS."
        )
    return url.copy_with(fragment=None)


def _split(text: str) -> httpx.URL:
    if len(text) > LONGEST_URL:
        raise AddressRefused(f"The URL is longer than {LONGEST_URL} characters.")
    if UNSAFE.search(text):
        raise AddressRefused("The URL has a space, a backslash or a control character.")
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError):  # ValueError: of idna and of ports
        raise AddressRefused("The URL cannot be read.") from None


def _authority(text: str) -> str:
    """Return what stands between `://` and path, query or fragment."""
    return re.split("[/?#]", text.partition("://")[2], maxsplit=1)[0]


def port_of(url: httpx.URL) -> int:
    """Return the port of an http or https URL, 80 or 443 where it names none."""
    return url.port if url.port is not None else DEFAULT_PORTS[url.scheme]


def check_host(host: str) -> None:
    """Raise AddressRefused unless a host is an IP address in its usual form, or a name of DNS, in
    ASCII; a trailing dot is allowed."""
    if not host:
        raise AddressRefused("The URL has no host.")
    if literal_address(host) is not None:
        return
    labels = host.lower().removesuffix(".").split(".")
    if NUMERIC.fullmatch(labels[-1]):
        raise AddressRefused("The URL's host is an IP address in an unusual form.")
    named = all(LABEL.fullmatch(label) for label in labels)
    if not named or len(host) > LONGEST_NAME + host.endswith("."):
        raise AddressRefused("The URL's host is no name of DNS and no IP address.")


def literal_address(host: str) -> IPAddress | None:
    """Return the IP address that a URL's host is, without brackets; None for a name. Raises
    AddressRefused for an IPv6 address that is wrong or has a zone."""
    host = host.removeprefix("[").removesuffix("]")
    try:
        if ":" not in host:
            return IPv4Address(host)
        address = IPv6Address(host)
    except AddressValueError:
        if ":" in host:
            raise AddressRefused("The URL's IPv6 address cannot be read.") from None
        return None
    if address.scope_id is not None:
        raise AddressRefused("The URL's IPv6 address has a zone.")
    return address
