"""How the gateway listens, so that many connections with much data hold no new one back.

uvloop accepts one connection per listening socket in each turn of its loop. While bodies arrive on
many connections a turn takes a tenth of a second, and a new caller would wait as many turns as
others are before it. So the same socket is listened on several times, by duplicates of its
descriptor: each accepts one.

Linux lets a receive buffer grow to many megabytes (`net.ipv4.tcp_rmem`), which no bound of the
gateway counts. So it has a size of its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn

ACCEPTED_PER_TURN = 16
"""A turn that accepts so many is hardly longer: each connection takes 0.1 ms."""
RECEIVED_BYTES = 1 << 20
"""What the system receives for a connection before the gateway reads it. On a way of 100 ms an
upload is then still as fast as 80 Mbit/s."""


async def listen_fairly(server: uvicorn.Server) -> None:
    """Let a server that has started accept up to ACCEPTED_PER_TURN connections in each turn, each
    with at most RECEIVED_BYTES not yet read."""
    loop, config = asyncio.get_running_loop(), server.config
    new_connection = cast("Callable[..., asyncio.Protocol]", config.http_protocol_class)
    facts: dict[str, Any] = {
        "server_state": server.server_state,
        "app_state": server.lifespan.state,
    }
    protocol = partial(new_connection, config=config, **facts)
    for first in list(server.servers):
        for listening in first.sockets:
            for _ in range(ACCEPTED_PER_TURN - 1):
                same = listening.dup()
                same.setblocking(False)
                same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
                again = await loop.create_server(protocol, sock=same, backlog=config.backlog)
                server.servers.append(again)
