"""Requests for another host are refused, so that no foreign page can read answers."""

from __future__ import annotations

import asyncio
import logging

import pytest

from service.settings import GatewaySettings
from service.trusted_hosts import host_of, is_wildcard, trusted_hosts_of
from tests.service.harness import RunningGateway, Start, assert_problem, drawn

FOREIGN = ("evil.example", "evil.example:8000", "localhost.evil.example", "192.0.2.1", "", "[::2]")


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_foreign_host_is_421(served: RunningGateway, host: str) -> None:
    headers = {"Host": host}
    for path in ("/", "/health/live", "/static/nowhere"):
        response = await served.client.get(path, headers=headers)
        assert (
            "ANYSR_TRUSTED_HOSTS" in assert_problem(response, 421, "misdirected_request")["detail"]
        )
    response = await served.client.post("/upscale?scale=2", content=drawn(), headers=headers)
    assert_problem(response, 421, "misdirected_request")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9:1", "localhost", "LocalHost.:80", "[::1]:8000"]
)
async def test_loopback_is_always_trusted(start: Start, host: str) -> None:
    """Health checks within a container come by loopback."""
    async with start(trusted_hosts=("anysr.example",)) as served:
        response = await served.client.get("/health/live", headers={"Host": host})
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("trusted", "host", "status"),
    [
        (("anysr.example",), "anysr.example:443", 200),
        (("anysr.example",), "ANYSR.example", 200),
        (("anysr.example",), "a.anysr.example", 421),
        (("*.anysr.example",), "a.anysr.example", 200),
        (("*.anysr.example",), "anysr.example", 421),
        (("*.anysr.example",), "evilanysr.example", 421),
        (("192.0.2.1", "2001:db8::1"), "192.0.2.1:8000", 200),
        (("192.0.2.1", "2001:db8::1"), "[2001:db8::1]:8000", 200),
        (("*",), "evil.example", 200),
    ],
)
async def test_hosts_of_the_setting(
    start: Start, trusted: tuple[str, ...], host: str, status: int
) -> None:
    async with start(trusted_hosts=trusted) as served:
        response = await served.client.get("/health/live", headers={"Host": host})
        assert response.status_code == status


@pytest.mark.parametrize(
    ("hosts", "status"),
    [((), 200), (("localhost",), 200), (("localhost", "evil.example"), 421)],
    ids=["none", "one", "two"],
)
async def test_every_host_header_counts(
    served: RunningGateway, hosts: tuple[str, ...], status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    writer.write(f"GET /health/live HTTP/1.0\r\n{lines}\r\n".encode())
    assert (await reader.readline()).split()[1] == str(status).encode()
    writer.close()


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("Anysr.example", ("anysr.example",)),
        ("0.0.0.0", ("*",)),
        ("::", ("*",)),
        ("", ("*",)),
    ],
)
def test_the_default_is_the_bound_host_or_all(host: str, trusted: tuple[str, ...]) -> None:
    assert trusted_hosts_of(GatewaySettings(host=host)) == trusted
    assert is_wildcard(host) == (trusted == ("*",))
    assert trusted_hosts_of(GatewaySettings(host=host, trusted_hosts=("a",))) == ("a",)


async def test_a_gateway_on_every_address_logs_that_all_hosts_are_trusted(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with start(host="0.0.0.0") as served:
        assert "ANYSR_TRUSTED_HOSTS" in caplog.text
        response = await served.client.get("/health/live", headers={"Host": "evil.example"})
        assert response.status_code == 200
    caplog.clear()
    async with start():
        assert "ANYSR_TRUSTED_HOSTS" not in caplog.text


@pytest.mark.parametrize("path", ["/docs/", "/upscale/?scale=2", "//evil.example/%2e%2e/docs/"])
async def test_no_redirect_repeats_the_host(start: Start, path: str) -> None:
    async with start(trusted_hosts=("*",)) as served:
        response = await served.client.get(path, headers={"Host": "evil.example"})
        location = response.headers.get("location", "/")
        assert location.startswith("/")
        assert not location.startswith("//")
        if response.status_code == 307:
            followed = await served.client.get(location)
            assert followed.status_code in (200, 405)


@pytest.mark.parametrize("path", ["/", "/docs", "/health/live"])
async def test_no_page_can_be_framed(served: RunningGateway, path: str) -> None:
    policy = (await served.client.get(path)).headers["content-security-policy"]
    assert policy.endswith("; frame-ancestors 'none'")


@pytest.mark.parametrize(
    ("header", "host"),
    [("a:1", "a"), (" A. ", "a"), ("[::1]:8000", "::1"), ("[::1]", "::1"), ("", ""), ("[", "")],
)
def test_host_of(header: str, host: str) -> None:
    assert host_of(header) == host
