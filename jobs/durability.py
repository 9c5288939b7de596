"""Durable calls: their answers count once all that they wrote is in the append-only file on disk.

The server says so itself where it has WAITAOF (Redis 7.2, Valkey). An older one answers no call
before its file is on disk if it has `appendfsync always`; so an answer to CONFIG GET that shows
this setting, on the same connection behind the call, says the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from jobs.connection import Command, SteadyRedis
from jobs.errors import NotDurable

FSYNC_TIMEOUT_S = 5.0
"""Longest wait for the disk: with `appendfsync everysec` it takes up to about two seconds, with
`always` milliseconds. Less than the bound on a call."""

SETTINGS: Command = ("CONFIG", "GET", "*append*")
"""One pattern, because several need Redis 7."""
AT_EACH_ANSWER = {
    "appendonly": "yes",
    "appendfsync": "always",
    # Otherwise nothing reaches the disk while the file is rewritten.
    "no-appendfsync-on-rewrite": "no",
}
REMEDY = "durable jobs need a Redis with 'appendonly yes' (and, before Redis 7.2, 'appendfsync"
REMEDY += " always'), named by ANYSR_REDIS_URL"


class DurableCalls:
    """Calls to one server whose answers come with whether what they wrote is on disk.

    They have connections and turns of their own, because each may wait for a second. What the
    server can promise is asked again after each new connection: it may be another server, or the
    same one with other settings.
    """

    def __init__(self, client: SteadyRedis, mark: str, replicas: int = 0) -> None:
        """`mark` is a key of no meaning; so many `replicas` must have it all on their disks, too,
        so that it also survives the loss of the server."""
        self._client = client.beside()
        self._mark: Command = ("SET", mark, "", "EX", 60)
        self._wait: Command = ("WAITAOF", 1, replicas, round(FSYNC_TIMEOUT_S * 1000))
        self._replicas = replicas
        self._checked_at: int | None = None
        """Number of connections that had been made when the server was asked last."""
        self._waits = False
        """Whether the server has WAITAOF."""

    async def check(self) -> None:
        """Ask the server what it can promise, unless no connection is newer than the last answer.
        Raises NotDurable, and redis-py's errors."""
        made = self._client.connections_made
        if made == self._checked_at:
            return
        wait: Command = ("WAITAOF", 1, 0, 1)
        waited, settings = await self._client.together(wait, SETTINGS)
        self._waits = not isinstance(waited, ResponseError)
        if not self._waits and (self._replicas or not _at_each_answer(settings)):
            raise NotDurable(_why(waited, settings, self._replicas))
        self._checked_at = made

    async def together(self, *commands: Command) -> tuple[list[Any], bool]:
        """Run commands as `SteadyRedis.together`. Return the answers, and whether all that these
        commands and earlier ones wrote is on disk. Raises NotDurable before anything is sent."""
        await self.check()
        # Without a write of its own this connection would wait for nothing, also where the commands
        # only found what another one wrote.
        last = self._wait if self._waits else SETTINGS
        *answers, marked, said = await self._client.together(*commands, self._mark, last)
        if isinstance(marked, ResponseError):
            return answers, False
        on_disk = self._acknowledged(said) if self._waits else _at_each_answer(said)
        return answers, on_disk

    async def settle(self) -> bool:
        """Wait until all that was written before is on disk; return whether it is."""
        _, on_disk = await self.together()
        return on_disk

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _acknowledged(self, said: Sequence[int] | ResponseError) -> bool:
        return not isinstance(said, ResponseError) and said[0] >= 1 and said[1] >= self._replicas


def _at_each_answer(answer: Sequence[bytes] | ResponseError) -> bool:
    """Return whether a server writes its file to disk before it answers."""
    return not isinstance(answer, ResponseError) and _read(answer).items() >= AT_EACH_ANSWER.items()


def _read(answer: Sequence[bytes]) -> dict[str, str]:
    texts = [part.decode(errors="replace") for part in answer]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _why(waited: ResponseError, settings: Sequence[bytes] | ResponseError, replicas: int) -> str:
    """Return why a server can promise nothing, and what to do, on one line."""
    if isinstance(settings, ResponseError):
        return f"The queue's Redis refuses WAITAOF ({waited}) and CONFIG ({settings}); {REMEDY}."
    found = _read(settings)
    if found.get("appendonly") != "yes":
        return f"The queue's Redis keeps no append-only file; {REMEDY}."
    if replicas:
        return f"ANYSR_DURABLE_REPLICAS needs WAITAOF of Redis 7.2, which fails here: {waited}."
    wrong = ", ".join(f"{name} {found.get(name)}" for name in AT_EACH_ANSWER)
    return f"The queue's Redis has no WAITAOF and {wrong}; {REMEDY}."
