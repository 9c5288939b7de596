"""The gateway accepts several connections in each turn of its loop, and bounds what each receives
before it is read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import uvicorn
import uvloop

from service.listening import ACCEPTED_PER_TURN, RECEIVED_BYTES, listen_fairly
from tests.support.waiting import eventually

CALLERS = 4 * ACCEPTED_PER_TURN


async def nothing(scope: object, receive: object, send: object) -> None:
    """Answer no request: none is sent."""


@contextlib.asynccontextmanager
async def listening(*extras: Callable[[uvicorn.Server], object]) -> AsyncIterator[uvicorn.Server]:
    """Run a server on a free port."""
    config = uvicorn.Config(nothing, port=0, lifespan="off", log_config=None, ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        for extra in extras:
            await extra(server)  # type: ignore[misc]
        yield server
    finally:
        await server.shutdown()


def connected(server: uvicorn.Server, stack: contextlib.ExitStack) -> None:
    """Connect callers at once; the system completes the connections before they are accepted."""
    address = server.servers[0].sockets[0].getsockname()
    for _ in range(CALLERS):
        stack.enter_context(socket.create_connection(address))


async def turns_until_accepted(server: uvicorn.Server) -> int:
    """Return how many turns of the loop go by until all callers are connected."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while len(server.server_state.connections) < CALLERS:
            turns += 1
            await asyncio.sleep(0)

    await asyncio.gather(count(), eventually(lambda: turns and not count_left(server), "all"))
    return turns


def count_left(server: uvicorn.Server) -> int:
    return CALLERS - len(server.server_state.connections)


@pytest.mark.parametrize(("extras", "most"), [((), None), ((listen_fairly,), CALLERS // 2)])
def test_several_connections_are_accepted_in_a_turn(
    extras: tuple[Callable[[uvicorn.Server], object], ...], most: int | None
) -> None:
    async def measured() -> int:
        async with listening(*extras) as server:
            with contextlib.ExitStack() as stack:
                connected(server, stack)
                return await turns_until_accepted(server)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        turns = runner.run(measured())
    if most is None:
        assert turns >= CALLERS, "uvloop accepts several by itself: the duplicates are not needed"
    else:
        assert turns <= most


async def test_a_connection_receives_no_more_than_its_buffer() -> None:
    """A buffer that was set does not grow."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        expected = other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    async with listening(listen_fairly) as server:
        with contextlib.ExitStack() as stack:
            connected(server, stack)
            await eventually(lambda: not count_left(server), "the connections")
            for connection in server.server_state.connections:
                same = connection.transport.get_extra_info("socket")
                received = same.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
                assert received == expected <= 2 * RECEIVED_BYTES  # Linux doubles it
