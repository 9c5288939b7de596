"""The gateway of the fixtures ends with its test, however that ends."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from service.server import GatewayServer
from tests.service.harness import Start

PATIENCE_S = 10


class Broken(Exception):
    """An error of these tests."""


async def test_a_gateway_ends_with_a_test_that_fails(start: Start) -> None:
    ports: list[int] = []

    async def failing() -> None:
        async with start() as served:
            ports.append(served.port)
            raise Broken

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Broken):
            await failing()
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{ports[0]}/health/live")


async def test_a_gateway_that_cannot_start_raises_its_error(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def startup(_server: GatewayServer, sockets: object = None) -> None:
        raise Broken(sockets)

    monkeypatch.setattr(GatewayServer, "startup", startup)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Broken):
            async with start():
                pytest.fail("it started")


async def test_a_start_that_times_out_ends_the_gateway(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that never serves is stopped by the test's own timeout."""
    ended = asyncio.Event()

    async def serve(server: GatewayServer, _sockets: object = None) -> None:
        while not server.should_exit:  # noqa: ASYNC110  as uvicorn itself looks
            await asyncio.sleep(0.005)
        ended.set()

    monkeypatch.setattr(GatewayServer, "serve", serve)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), start():
            pytest.fail("it started")
    assert ended.is_set()
