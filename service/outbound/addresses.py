"""Public IP addresses: which ones a caller may have the gateway connect to.

The tables are the special-purpose registries of IANA (RFC 6890; iana-ipv4-special-registry and
iana-ipv6-special-registry), written out: what `ipaddress` counts as global differs between versions
of Python, and includes multicast, 6to4 and addresses that embed private ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

NOT_PUBLIC_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host and this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers (CGNAT)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and the metadata services of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, DS-Lite among them
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT relays
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
PUBLIC_IPV6 = IPv6Network("2000::/3")
"""All that is assigned as global unicast. Outside of it are loopback, IPv4-mapped and -compatible,
NAT64, discard, unique local, link-local, site-local and multicast addresses."""
NOT_PUBLIC_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

EMBEDDING = tuple(
    (IPv6Network(network), shift)
    for network, shift in (
        ("::/96", 0),  # IPv4-compatible
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("::ffff:0:0:0/96", 0),  # IPv4-translated (SIIT)
        ("64:ff9b::/96", 0),  # NAT64
        ("64:ff9b:1::/48", 0),  # NAT64 of a site, with prefixes of 96 bits
        ("2002::/16", 80),  # 6to4
    )
)
"""(network, how many bits stand behind the embedded IPv4 address)."""
TEREDO = IPv6Network("2001::/32")
ISATAP = (0x00005EFE, 0x02005EFE)
"""First half of an interface identifier whose second half is an IPv4 address (RFC 5214)."""
LAST_32 = 0xFFFFFFFF


def is_public(address: IPAddress) -> bool:
    """Return whether an address belongs to the public internet, and embeds none that does not."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_IPV4)
    if address not in PUBLIC_IPV6 or any(address in network for network in NOT_PUBLIC_IPV6):
        return False
    return all(is_public(embedded) for embedded in embedded_ipv4(address))


def embedded_ipv4(address: IPAddress) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that a translator or a tunnel could make of an address."""
    if isinstance(address, IPv4Address):
        return ()
    number = int(address)
    found = [number >> shift for network, shift in EMBEDDING if address in network]
    if address in TEREDO:
        found += [number >> 64, ~number]  # the server, and the client with inverted bits
    if (number >> 32) & LAST_32 in ISATAP:
        found.append(number)
    return tuple(IPv4Address(bits & LAST_32) for bits in found)


def read_networks(texts: Iterable[str]) -> tuple[IPNetwork, ...]:
    """Return the networks that texts such as `10.1.0.0/16`, `10.1.2.3` or `fd00::/8` stand for.
    Raises ValueError, also for a network with host bits set: it may be a slip."""
    return tuple(ip_network(text) for text in texts)


class AllowedAddresses:
    """The public addresses, and those of the networks that the operator allows beside them."""

    def __init__(self, private: Iterable[IPNetwork] = ()) -> None:
        self._private = tuple(private)

    def __contains__(self, address: IPAddress) -> bool:
        """Return whether the gateway may connect to an address: every IPv4 address that is embedded
        in it must be allowed as well."""
        if not (is_public(address) or any(address in network for network in self._private)):
            return False
        return all(embedded in self for embedded in embedded_ipv4(address))
