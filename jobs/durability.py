"""Durable calls: their answers count once all that they wrote is in the append-only file on disk.

A server answers no call before its file is on disk if it has `appendfsync always`; so an answer to
CONFIG GET that shows this setting, on the same connection behind the call, says so. WAITAOF says
the same where the server has it (Redis 7.2, Valkey), and whether replicas have it on disk. With
`appendfsync everysec` it cannot be believed: Valkey up to 9.1 and Redis 7.4 answer before the disk
has anything (redis/redis#13793; `anysr bench durability power-loss` shows it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from jobs.connection import Command, SteadyRedis
from jobs.errors import NotDurable

FSYNC_TIMEOUT_S = 5.0
"""Longest wait for the disks of replicas. Less than the bound on a call."""

SETTINGS: Command = ("CONFIG", "GET", "*append*")
"""One pattern, because several need Redis 7."""
NEEDED = {
    "appendonly": "yes",
    "appendfsync": "always",
    # Otherwise nothing reaches the disk while the file is rewritten.
    "no-appendfsync-on-rewrite": "no",
}
REMEDY = "durable jobs need " + ", ".join(f"'{name} {value}'" for name, value in NEEDED.items())


class DurableCalls:
    """Calls to one server whose answers come with whether what they wrote is on disk.

    They have connections and turns of their own, because each waits for the disk. What the server
    can promise is asked again after each new connection: it may be another server, or the same one
    with other settings.
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
        settings, waited = await self._client.together(SETTINGS, ("WAITAOF", 1, 0, 1))
        if (fault := _fault(settings)) is not None:
            raise NotDurable(fault)
        if self._replicas and isinstance(waited, ResponseError):
            raise NotDurable(f"ANYSR_DURABLE_REPLICAS needs WAITAOF, of Redis 7.2: {waited}.")
        self._waits = not isinstance(waited, ResponseError)
        self._checked_at = made

    async def together(self, *commands: Command) -> tuple[list[Any], bool]:
        """Run commands as `SteadyRedis.together`. Return the answers, and whether all that these
        commands and earlier ones wrote is on disk. Raises NotDurable before anything is sent."""
        await self.check()
        # Without a write of its own this connection would wait for nothing, also where the commands
        # only found what another one wrote.
        last = (self._mark, self._wait, SETTINGS) if self._waits else (self._mark, SETTINGS)
        answers = await self._client.together(*commands, *last)
        *said, settings = answers[len(commands) :]
        on_disk = _fault(settings) is None and all(map(self._confirms, said))
        return answers[: len(commands)], on_disk

    def _confirms(self, answer: Any) -> bool:
        """Return whether an answer is that of a write, or that of WAITAOF for enough disks."""
        if not isinstance(answer, list):
            return not isinstance(answer, ResponseError)
        own, replicas = answer
        return bool(own >= 1 and replicas >= self._replicas)

    async def settle(self) -> bool:
        """Wait until all that was written before is on disk; return whether it is."""
        _, on_disk = await self.together()
        return on_disk

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _fault(answer: Sequence[bytes] | ResponseError) -> str | None:
    """Return what keeps a server from being durable, and the remedy, on one line; None if it is."""
    if isinstance(answer, ResponseError):
        return f"The queue's Redis does not show its settings ({answer}); {REMEDY}."
    texts = [part.decode(errors="replace") for part in answer]
    found = dict(zip(texts[::2], texts[1::2], strict=True))
    wrong = [f"'{name} {found.get(name)}'" for name in NEEDED if found.get(name) != NEEDED[name]]
    return f"The queue's Redis has {', '.join(wrong)}; {REMEDY}." if wrong else None
