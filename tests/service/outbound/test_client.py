"""Requests to addresses that callers name: only checked ones are connected to, and each redirect
is checked anew."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address

import httpx
import pytest
import trustme

from jobs.errors import (
    AddressRefused,
    RemoteError,
    RemoteTooSlow,
    RemoteUnreachable,
    TooManyRedirects,
)
from service.outbound.addresses import AllowedAddresses, IPAddress, read_networks
from service.outbound.client import OutboundClient, TimeBounds
from service.outbound.resolution import MOST_ADDRESSES
from tests.support.remote import Received, Remote, hang, head, remote_server

LONG = TimeBounds(total_s=60)
PUBLIC = "93.184.216.34"


class Names:
    """A resolver with answers of its own: those of a name in turn, the last one again and again."""

    def __init__(self, **answers: list[tuple[str, ...]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, name: str) -> tuple[IPAddress, ...]:
        self.asked.append(name)
        answers = self.answers.get(name.removesuffix(".example"), [()])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return tuple(ip_address(text) for text in answer)


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    async with remote_server() as remote:
        remote.serves("/", b"content")
        yield remote


def client_of(
    remote: Remote, names: Names, *private: str, tls: ssl.SSLContext | None = None
) -> OutboundClient:
    allowed = AllowedAddresses(read_networks(private))
    return OutboundClient(allowed, {remote.port}, names, tls)


async def fetched(client: OutboundClient, url: str, within: TimeBounds = LONG) -> bytes:
    async with client.fetched(url, within) as response:
        return await response.aread()


async def test_the_checked_address_gets_the_request_with_the_name(remote: Remote) -> None:
    names = Names(a=[("127.0.0.1",)])
    client = client_of(remote, names, "127.0.0.1")
    url = remote.url("/", "a.example")
    assert await fetched(client, url) == b"content"
    (request,) = remote.received
    assert request.headers["host"] == f"a.example:{remote.port}"
    assert names.asked == ["a.example"]
    assert not {"cookie", "authorization", "proxy-authorization"} & set(request.headers)
    await client.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "a.example", "b.example", "c.example", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_private_addresses_get_no_connection(remote: Remote, host: str) -> None:
    names = Names(
        a=[("127.0.0.1",)], b=[(PUBLIC, "127.0.0.1")], c=[("127.0.0.1", PUBLIC, "2606:4700::1")]
    )
    client = client_of(remote, names)
    with pytest.raises(AddressRefused) as refused:
        await fetched(client, remote.url("/", host))
    assert "127.0.0.1" not in str(refused.value)
    assert remote.received == []
    await client.close()


async def test_a_name_that_is_bound_anew_reaches_nothing_private(remote: Remote) -> None:
    """Public when it is checked, private when it is connected to."""
    names = Names(a=[(PUBLIC,), ("127.0.0.1",)])
    client = client_of(remote, names)
    url = remote.url("/", "a.example")
    await client.check(url)
    with pytest.raises(AddressRefused):
        await fetched(client, url)
    assert remote.received == []
    await client.close()


async def test_one_connection_has_one_resolution(remote: Remote) -> None:
    """The address that was checked is the one that gets the connection: there is no second
    answer that could differ."""
    names = Names(a=[("127.0.0.1",), ("127.0.0.9",)])
    client = client_of(remote, names, "127.0.0.1")
    url = remote.url("/", "a.example")
    assert await fetched(client, url) == b"content"
    assert names.asked == ["a.example"]
    with pytest.raises(AddressRefused):
        await fetched(client, url)
    await client.close()


async def test_a_second_address_is_tried_where_the_first_refuses(remote: Remote) -> None:
    client = client_of(remote, Names(a=[("127.0.0.9", "127.0.0.1")]), "127.0.0.0/8")
    assert await fetched(client, remote.url("/", "a.example")) == b"content"
    await client.close()


async def test_names_without_or_with_too_many_addresses(remote: Remote) -> None:
    many = tuple(f"1.1.{n // 256}.{n % 256}" for n in range(MOST_ADDRESSES + 1))
    client = client_of(remote, Names(many=[many]))
    with pytest.raises(RemoteUnreachable):
        await fetched(client, remote.url("/", "none.example"))
    with pytest.raises(AddressRefused):
        await fetched(client, remote.url("/", "many.example"))
    await client.close()


async def test_the_systems_resolver(remote: Remote) -> None:
    for host in ("localhost", "LOCALHOST", "localhost."):
        guarded = OutboundClient(AllowedAddresses(), {remote.port})
        with pytest.raises((AddressRefused, RemoteUnreachable)):
            await fetched(guarded, remote.url("/", host))
        await guarded.close()
    loopback = read_networks(["127.0.0.0/8", "::1"])
    allowing = OutboundClient(AllowedAddresses(loopback), {remote.port})
    assert await fetched(allowing, remote.url("/", "localhost")) == b"content"
    with pytest.raises(RemoteUnreachable):
        await fetched(allowing, remote.url("/", "no-such-name.invalid"))
    await allowing.close()


async def test_redirects_are_followed_to_other_hosts(remote: Remote) -> None:
    names = Names(a=[("127.0.0.1",)], b=[("127.0.0.1",)])
    client = client_of(remote, names, "127.0.0.1")
    remote.redirects("/first", remote.url("/second", "b.example"))
    remote.redirects("/second", "/", status=308)
    seen: list[str] = []

    def note(url: httpx.URL) -> None:
        seen.append(f"{url.host}{url.path}")

    async with client.fetched(remote.url("/first", "a.example"), LONG, note) as response:
        assert await response.aread() == b"content"
    assert seen == ["a.example/first", "b.example/second", "b.example/"]
    await client.close()


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.2:{port}/", "http://private.example:{port}/", "http://localhost/"),
        *("file:///etc/passwd", "http://2130706433/", "//[::1]/", "http://user@a.example/"),
        *("http://a.example:22/", "gopher://a.example/", "http://169.254.169.254/latest/"),
    ],
)
async def test_a_redirect_is_checked_as_the_first_url(remote: Remote, location: str) -> None:
    names = Names(a=[("127.0.0.1",)], private=[("10.0.0.1",)])
    names.answers["localhost"] = [("127.0.0.2",)]
    client = client_of(remote, names, "127.0.0.1")
    remote.redirects("/away", location.format(port=remote.port))
    with pytest.raises(AddressRefused):
        await fetched(client, remote.url("/away", "a.example"))
    assert [request.path for request in remote.received] == ["/away"]
    await client.close()


async def test_redirects_in_a_circle_end(remote: Remote) -> None:
    client = client_of(remote, Names(), "127.0.0.1")
    remote.redirects("/one", "/two")
    remote.redirects("/two", "/one")
    with pytest.raises(TooManyRedirects):
        await fetched(client, remote.url("/one"))
    assert len(remote.received) == 6
    await client.close()


@pytest.mark.parametrize("location", ["", "http://[::1", "http://exa mple/"])
async def test_a_redirect_to_nowhere(remote: Remote, location: str) -> None:
    client = client_of(remote, Names(), "127.0.0.1")
    remote.redirects("/away", location)
    with pytest.raises((RemoteError, AddressRefused)):
        await fetched(client, remote.url("/away"))
    await client.close()


async def test_a_request_with_a_body_follows_no_redirect(remote: Remote) -> None:
    client = client_of(remote, Names(), "127.0.0.1")
    remote.redirects("/away", "/", status=307)
    headers = {"Content-Type": "text/plain", "X-Signature": "s"}
    sending = client.sent("POST", remote.url("/away"), LONG, headers, b"body")
    async with sending as response:
        assert response.status_code == 307
    (request,) = remote.received
    assert (request.method, request.body) == ("POST", b"body")
    assert request.headers["x-signature"] == "s"
    await client.close()


async def drip(writer: asyncio.StreamWriter, _: Received) -> None:
    """Send a body that never ends, a byte at a time."""
    writer.write(head(200, {"Content-Length": "1000000"}))
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("answer", [hang, drip])
async def test_a_remote_that_takes_too_long(remote: Remote, answer) -> None:
    client = client_of(remote, Names(), "127.0.0.1")
    remote.answers["/slow"] = answer
    with pytest.raises(RemoteTooSlow):
        await fetched(client, remote.url("/slow"), TimeBounds(total_s=0.3))
    remote.answers["/hung"] = hang
    with pytest.raises(RemoteTooSlow):
        await fetched(client, remote.url("/hung"), TimeBounds(total_s=60, read_s=0.1))
    await client.close()


async def test_a_resolver_that_takes_too_long(remote: Remote) -> None:
    async def never(_: str) -> tuple[IPAddress, ...]:
        await asyncio.Event().wait()
        return ()

    client = OutboundClient(AllowedAddresses(), {remote.port}, never)
    with pytest.raises(RemoteTooSlow):
        await fetched(client, remote.url("/", "a.example"), TimeBounds(total_s=0.1))
    await client.close()


async def test_what_is_no_http_and_what_breaks_off(remote: Remote) -> None:
    async def other_protocol(writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(b"-ERR unknown command\r\n")

    async def half(writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(head(200, {"Content-Length": "10"}) + b"half")

    async def endless_head(writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X: " + b"y" * 1000 + b"\r\n")
            await writer.drain()

    client = client_of(remote, Names(), "127.0.0.1")
    for answer in (other_protocol, half, endless_head):
        remote.answers["/odd"] = answer
        with pytest.raises(RemoteUnreachable):
            await fetched(client, remote.url("/odd"))
    await client.close()


async def test_no_proxy_of_the_environment_is_used(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.9:9")
    client = client_of(remote, Names(a=[("127.0.0.1",)]), "127.0.0.1")
    assert await fetched(client, remote.url("/", "a.example")) == b"content"
    await client.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def test_tls_names_and_verifies_the_urls_host(authority: trustme.CA) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("a.example").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with remote_server(serving) as remote:
        remote.serves("/", b"secret")
        names = Names(a=[("127.0.0.1",)], b=[("127.0.0.1",)])
        client = client_of(remote, names, "127.0.0.1", tls=trusting)
        assert await fetched(client, f"https://a.example:{remote.port}/") == b"secret"
        assert remote.received[0].server_name == "a.example"
        assert remote.received[0].headers["host"] == f"a.example:{remote.port}"
        with pytest.raises(RemoteUnreachable):  # the certificate is another name's
            await fetched(client, f"https://b.example:{remote.port}/")
        with pytest.raises(RemoteUnreachable):
            await fetched(client, f"https://127.0.0.1:{remote.port}/")
        await client.close()
        untrusting = client_of(remote, names, "127.0.0.1")
        with pytest.raises(RemoteUnreachable):
            await fetched(untrusting, f"https://a.example:{remote.port}/")
        await untrusting.close()
    assert len(remote.received) == 1
