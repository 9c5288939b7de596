"""The largest picture that a Redis server can hold, however empty it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.exceptions import ResponseError

from jobs.connection import SteadyRedis

ALWAYS_HELD_BYTES = 1 << 20
"""Servers accept no smaller `proto-max-bulk-len`."""
DEFAULT_BYTES = 512 << 20
"""The default of `proto-max-bulk-len`, the most bytes of one argument of a command."""
MEMORY_PART = 1 / 2
"""Of the server's memory: with a long argument it also allocates a buffer of that length for the
next one, and it takes no write beyond `maxmemory`. Measured on Valkey 9: with 256 MiB of memory, a
picture of 127 MiB is stored, and one of 128 MiB is not."""


async def most_bytes(client: SteadyRedis) -> int:
    """Return the most bytes of one picture: the server's `proto-max-bulk-len` (where a hosted one
    does not report it, its default), or less where its memory is small.

    Asked of the server each time, because both can be changed while it runs.
    """
    option = "proto-max-bulk-len"
    config, memory = await client.together(("CONFIG", "GET", option), ("INFO", "memory"))
    return int(min(_argument_bytes(config), _memory_bytes(memory)))


def _argument_bytes(config: list[bytes] | ResponseError) -> int:
    return int(config[1]) if isinstance(config, list) and config else DEFAULT_BYTES


def _memory_bytes(memory: Mapping[str, Any] | ResponseError) -> float:
    """Return the most bytes that fit an empty server; infinity where memory is not bounded."""
    if isinstance(memory, ResponseError) or not memory.get("maxmemory"):
        return float("inf")
    return MEMORY_PART * (int(memory["maxmemory"]) - int(memory.get("used_memory_startup", 0)))
