"""Which addresses a caller may have the gateway connect to: a table with both edges of every
range, and what holds for all addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.outbound.addresses import AllowedAddresses, embedded_ipv4, is_public, read_networks

PUBLIC = """
1.0.0.0 1.1.1.1 8.8.8.8 8.8.4.4 9.9.9.9 9.255.255.255 11.0.0.0 45.33.32.156 93.184.216.34
100.63.255.255 100.128.0.0 104.16.132.229 126.255.255.255 128.0.0.0 140.82.112.3 151.101.1.69
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 172.217.16.142 185.199.108.153
191.255.255.255 192.0.1.0 192.0.1.255 192.0.3.0 192.31.195.255 192.31.197.0 192.52.192.255
192.52.194.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 192.175.47.255 192.175.49.0
193.0.0.1 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 199.232.0.1 203.0.112.255
203.0.114.0 212.58.244.1 223.255.255.255
2001:200::1 2001:400::1 2001:4860:4860::8888 2001:4860:4860::8844 2001:db7:ffff:ffff::1
2001:db9:: 2001:470:1:18::119 2003::1 2400:cb00:2048:1::c629:d7a2 2606:4700:4700::1111
2606:2800:220:1:248:1893:25c8:1946 2620:fe::fe 2620:4f:7fff:ffff::1 2620:4f:8001:: 2a00:1450:4001::1
2a04:4e42::81 2c0f:fb50::1 3ffe:ffff::1 3fff:1000:: 2000::1 2606:4700::5efe:808:808
2606:4700::200:5efe:808:808 3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
"""
NOT_PUBLIC = """
0.0.0.0 0.0.0.1 0.1.2.3 0.255.255.255
10.0.0.0 10.0.0.1 10.10.10.10 10.96.0.1 10.255.255.255
100.64.0.0 100.64.0.1 100.100.100.200 100.127.255.255
127.0.0.0 127.0.0.1 127.0.1.1 127.1.1.1 127.255.255.255
169.254.0.0 169.254.0.1 169.254.169.253 169.254.169.254 169.254.170.2 169.254.255.255
172.16.0.0 172.16.0.1 172.17.0.1 172.20.0.1 172.31.0.0 172.31.255.255
192.0.0.0 192.0.0.1 192.0.0.8 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.192 192.0.0.255
192.0.2.0 192.0.2.1 192.0.2.255 192.31.196.0 192.31.196.255 192.52.193.0 192.52.193.255
192.88.99.0 192.88.99.1 192.88.99.255 192.168.0.0 192.168.0.1 192.168.1.1 192.168.99.100
192.168.255.255 192.175.48.0 192.175.48.1 192.175.48.255
198.18.0.0 198.18.0.1 198.19.255.255 198.51.100.0 198.51.100.1 198.51.100.255
203.0.113.0 203.0.113.1 203.0.113.255
224.0.0.0 224.0.0.1 224.0.0.251 232.0.0.1 233.252.0.1 239.255.255.250 239.255.255.255
240.0.0.0 240.0.0.1 250.1.2.3 254.255.255.255 255.255.255.254 255.255.255.255
:: ::1 ::2 ::127.0.0.1 ::10.0.0.1 ::169.254.169.254 ::8.8.8.8 ::ffff
::ffff:0.0.0.0 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:172.16.0.1 ::ffff:192.168.0.1
::ffff:169.254.169.254 ::ffff:100.64.0.1 ::ffff:8.8.8.8 ::ffff:255.255.255.255
::ffff:0:127.0.0.1 ::ffff:0:10.0.0.1 ::ffff:0:8.8.8.8
64:ff9a:: 64:ff9b:: 64:ff9b::1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254
64:ff9b::8.8.8.8 64:ff9b::ffff:ffff 64:ff9b::1:0:0 64:ff9b:1:: 64:ff9b:1::10.0.0.1
64:ff9b:1:ffff::8.8.8.8 64:ff9b:1:ffff:ffff:ffff:ffff:ffff 64:ff9b:2::
100:: 100::1 100::ffff:ffff:ffff:ffff 100:0:0:1::1 200::1 400::1 1000::1
1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
2001:: 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:0:7f00:1::1 2001:0:ffff::1
2001:1::1 2001:1::2 2001:1::3 2001:2:: 2001:2::1 2001:2:0:ffff::1 2001:3::1 2001:4:112::1
2001:10:: 2001:1f:ffff::1 2001:20::1 2001:2f:ffff::1 2001:30::1 2001:1ff:ffff::1
2001:db8:: 2001:db8::1 2001:db8:85a3::8a2e:370:7334 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff
2002:: 2002:7f00:1:: 2002:7f00:1::1 2002:a00:1:: 2002:c0a8:1:: 2002:a9fe:a9fe:: 2002:808:808::
2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2620:4f:8000:: 2620:4f:8000::1
3fff:: 3fff::1 3fff:fff:ffff:ffff::1
2606:4700::5efe:7f00:1 2606:4700::5efe:a00:1 2606:4700::200:5efe:c0a8:1
4000:: 4000::1 5f00:: 5f00::1 6000::1 8000::1 a000::1 c000::1 e000::1 f000::1 f800::1 fbff::1
fc00:: fc00::1 fcff::1 fd00:: fd00::1 fd00:ec2::254 fd12:3456:789a:1::1
fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe00::1 fe7f::1 fe80:: fe80::1 fe80::1ff:fe23:4567:890a
fe90::1 febf::1 fec0:: fec0::1 fec0:0:0:ffff::1 feff::1
ff00:: ff00::1 ff01::1 ff02::1 ff02::2 ff02::fb ff05::2 ff0e::1 ff1e::8000 ff3e::1
ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
"""


def test_the_table_is_large_and_has_no_address_twice():
    addresses = [ip_address(text) for text in (PUBLIC + NOT_PUBLIC).split()]
    assert len(set(addresses)) == len(addresses) >= 200


@pytest.mark.parametrize("text", PUBLIC.split())
def test_public_addresses_are_allowed(text):
    assert is_public(ip_address(text))
    assert ip_address(text) in AllowedAddresses()


@pytest.mark.parametrize("text", NOT_PUBLIC.split())
def test_all_others_are_refused(text):
    assert not is_public(ip_address(text))
    assert ip_address(text) not in AllowedAddresses()


@given(st.ip_addresses())
def test_what_python_counts_as_private_is_never_public(address):
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=4))
def test_an_address_within_another_is_found(address: IPv4Address):
    number = int(address)
    for text, bits in (
        ("::", number),
        ("::ffff:0:0", number),
        ("64:ff9b::", number),
        ("64:ff9b:1::", number),
        ("2002::", number << 80),
        ("2001::", number << 64),
        ("2001::", ~number & 0xFFFFFFFF),
        ("2606:4700::5efe:0:0", number),
    ):
        assert address in embedded_ipv4(IPv6Address(int(IPv6Address(text)) | bits))


def test_an_operator_allows_networks_and_nothing_beside_them():
    allowed = AllowedAddresses(read_networks(["10.1.0.0/16", "fd00:1::/32", "192.168.7.7"]))
    for text in ("10.1.0.0", "10.1.255.255", "fd00:1::5", "192.168.7.7", "8.8.8.8"):
        assert ip_address(text) in allowed, text
    for text in ("10.2.0.0", "10.0.255.255", "fd00:2::5", "192.168.7.8", "127.0.0.1", "::1"):
        assert ip_address(text) not in allowed, text
    assert ip_address("::ffff:10.1.0.1") not in allowed


def test_a_network_with_embedded_addresses_opens_only_those_that_are_allowed():
    """On a network without IPv4, DNS64 answers with such addresses for every IPv4 site."""
    allowed = AllowedAddresses(read_networks(["64:ff9b::/96", "10.1.0.0/16"]))
    for text in ("64:ff9b::8.8.8.8", "64:ff9b::10.1.2.3"):
        assert ip_address(text) in allowed, text
    for text in ("64:ff9b::10.2.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254"):
        assert ip_address(text) not in allowed, text
