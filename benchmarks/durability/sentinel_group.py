"""Two real servers, of which one is the primary, and the sentinels that watch them.

Which of the two is the primary only the sentinels know: on a busy machine one that does not answer
in time is down to them, so they also promote when nobody has killed anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import redis

from benchmarks.durability.server import (
    APPENDING,
    TrialSentinel,
    TrialServer,
    Watch,
    any_server,
)

SERVICE = "trial"
STEP_TIMEOUT_S = 60.0
LAST_LINES = 8
"""Of each sentinel, in the error of a step that has not come."""
UNTOLD = ("new configuration saved", "+new-epoch")
"""What sentinels say at every change."""
LAG_BYTES = 1 << 20
"""How far a replica may be behind what it is sent all the time."""


class Killed(NamedTuple):
    """A server that was the primary."""

    server: TrialServer
    at: float
    """Moment of its end, by time.monotonic()."""


@dataclass
class SentinelGroup:
    """Two servers, of which one is the primary, and their sentinels."""

    servers: tuple[TrialServer, TrialServer]
    sentinels: list[TrialSentinel]

    @property
    def url(self) -> str:
        """URL of the primary, whichever that is."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    async def kill_primary(self) -> Killed:
        """Kill the primary, and return it when the other server has its place."""
        primary = await self.in_step()
        killed = Killed(primary, time.monotonic())
        primary.kill()
        other = self._beside(primary)
        await self._until(
            lambda: other if self._named() is other else None, "the promotion of the replica"
        )
        return killed

    async def bring_back(self, killed: TrialServer) -> None:
        """Start a killed server as a replica, and return when it could be promoted."""
        follow(killed, self._beside(killed))
        await asyncio.to_thread(killed.start)
        await self.in_step()

    async def in_step(self) -> TrialServer:
        """Return the primary, once the other server has what it has, and all sentinels agree."""
        return await self._until(self._settled, "a replica that could be promoted")

    def promotions(self) -> int:
        """Return how often the sentinels have promoted a replica, by what one of them said."""
        return sum("+switch-master" in line for line in self.sentinels[0].log.lines)

    async def _until(self, find: Callable[[], TrialServer | None], what: str) -> TrialServer:
        """Wait for a server to be found. Raises TimeoutError with what the sentinels said last."""
        until = time.monotonic() + STEP_TIMEOUT_S
        while time.monotonic() < until:
            with contextlib.suppress(redis.RedisError):
                if (found := await asyncio.to_thread(find)) is not None:
                    return found
            await asyncio.sleep(0.05)
        waited = f"There is still not {what} after {STEP_TIMEOUT_S:g} s."
        raise TimeoutError("\n".join((waited, *self._sayings())))

    def _sayings(self) -> list[str]:
        """Return the last lines of each sentinel that tell what it did, and why."""
        return [
            f"sentinel {sentinel.port}: {line}"
            for sentinel in self.sentinels
            for line in _telling(sentinel.log.lines)
        ]

    def _settled(self) -> TrialServer | None:
        """Return the primary; None while that, or what follows it, changes."""
        primary = self._named()
        if primary is None:
            return None
        leading, following = _info(primary), _info(self._beside(primary))
        if leading["role"] != "master" or following.get("master_link_status") != "up":
            return None
        behind = int(leading["master_repl_offset"]) - int(following["slave_repl_offset"])
        follows = int(following["master_port"]) == primary.port and behind <= LAG_BYTES
        return primary if follows and all(map(self._could_promote, self.sentinels)) else None

    def _named(self) -> TrialServer | None:
        """Return the server that all sentinels name as the primary; None where they disagree."""
        ports = {_named_by(sentinel) for sentinel in self.sentinels}
        named = [server for server in self.servers if {server.port} == ports]
        return named[0] if named else None

    def _could_promote(self, sentinel: TrialSentinel) -> bool:
        """Return whether a sentinel sees a primary that is up and stays it, enough other sentinels,
        and a replica whose link is up by its own answer."""
        with contextlib.closing(sentinel.client()) as client:
            state: Any = client.sentinel_master(SERVICE)
            replicas: Any = client.sentinel_slaves(SERVICE)
            client.sentinel_ckquorum(SERVICE)  # refused where too few sentinels answer
        # Any other flag names one that is down or unconnected, or a failover that is under way.
        able = [one for one in replicas if one["flags"] == "slave"]
        linked = [one for one in able if one["master-link-status"] == "ok"]
        others = int(state["num-other-sentinels"])
        return state["flags"] == "master" and bool(linked) and others == len(self.sentinels) - 1

    def _beside(self, server: TrialServer) -> TrialServer:
        """Return the other server."""
        first, second = self.servers
        return second if server is first else first


def follow(replica: TrialServer, primary: TrialServer) -> None:
    """Have a server be a replica at its next start."""
    replica.options["replicaof"] = f"127.0.0.1 {primary.port}"


@contextlib.asynccontextmanager
async def sentinel_group(
    folder: Path, watch: Watch, *, durable: bool
) -> AsyncIterator[SentinelGroup]:
    """Run a group, with its files and logs in a folder. Raises RedisUnavailableError and
    TimeoutError."""
    executable = any_server()
    options = {**APPENDING, "appendfsync": "always" if durable else "everysec"}
    options |= {"repl-diskless-sync-delay": "0"}
    primary, replica = (TrialServer(executable, folder / name, options) for name in ("a", "b"))
    follow(replica, primary)
    group = SentinelGroup((primary, replica), [])
    try:
        primary.start()
        replica.start()
        for number in range(watch.sentinels):
            place = folder / f"sentinel-{number}"
            group.sentinels.append(TrialSentinel(executable, place, SERVICE, primary.port, watch))
            group.sentinels[-1].start()
        await group.in_step()
        yield group
    finally:
        for server in (primary, replica, *group.sentinels):
            server.kill()


def _telling(lines: list[str]) -> list[str]:
    """Return the last of a sentinel's lines, without those that it says at every change."""
    return [line for line in lines if not any(word in line for word in UNTOLD)][-LAST_LINES:]


def _info(server: TrialServer) -> dict[str, str]:
    with contextlib.closing(server.client()) as client:
        return dict(client.info("replication"))


def _named_by(sentinel: TrialSentinel) -> int:
    with contextlib.closing(sentinel.client()) as client:
        address: Any = client.sentinel_get_master_addr_by_name(SERVICE)
    return int(address[1])
