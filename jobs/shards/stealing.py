"""Leases of a divided queue: a worker claims at home, and steals from others while it is idle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterable, Sequence

from jobs.errors import AnysrError
from jobs.job import Claim, LeaseState, RunFacts
from jobs.queue import Capabilities, Completion, Gap, Leases
from jobs.shards.home import Home
from jobs.shards.ids import shard_of
from jobs.shards.shard import Shard

LOOK_S = 0.1
"""Time between two looks of an idle worker into other shards, as in
`scheduling.simulation.shard`."""
LOOKED_AT = 2
"""Shards in one look, at random: many workers look, so each shard is seen soon, and what a server
is asked does not grow with the number of shards."""
SWEEP_S = 1.0
"""Time between two claims of an idle worker in another shard, also where no job waits: each makes
jobs with expired leases wait again, in a shard that has lost all its workers, too."""


class StealingLeases(Leases):
    """Hands out the jobs of a worker's home, and those of other shards when there are none."""

    def __init__(self, shards: Sequence[Shard], home: Home, chance: random.Random) -> None:
        self._shards = shards
        self._home = home
        self._chance = chance
        self._sweep_at = 0.0
        """When this worker claims in another shard, by the event loop's clock."""

    async def claim(
        self,
        worker_id: str,
        wait_s: float,
        stopping: asyncio.Event | None = None,
        capabilities: Capabilities | None = None,
        changed: asyncio.Event | None = None,
    ) -> Claim | None:
        clock = asyncio.get_running_loop()
        until = clock.time() + wait_s
        while True:
            left_s = max(0.0, until - clock.time())
            claim = await self._claim_once(worker_id, left_s, stopping, capabilities, changed)
            ended = clock.time() >= until or (stopping is not None and stopping.is_set())
            if claim is not None or ended:
                return claim

    async def _claim_once(
        self,
        worker_id: str,
        wait_s: float,
        stopping: asyncio.Event | None,
        capabilities: Capabilities | None,
        changed: asyncio.Event | None,
    ) -> Claim | None:
        """Claim at home until there may be something elsewhere, and then there."""
        home = await self._home.shard()
        interrupted = asyncio.Event()
        own = asyncio.create_task(
            home.leases.claim(worker_id, wait_s, interrupted, capabilities, changed)
        )
        looking = asyncio.create_task(self._watch(home))
        stopped = asyncio.create_task((stopping or asyncio.Event()).wait())
        try:
            await asyncio.wait((own, looking, stopped), return_when=asyncio.FIRST_COMPLETED)
            # Not by cancelling it: it may just have claimed a job.
            interrupted.set()
            claim, outage = await _claim_or_outage(own)
            if claim is None and not stopped.done():
                other = looking.result() if looking.done() else await self._look(home)
                if other is not None:
                    claim = await _without_outage(
                        other.leases.claim(worker_id, 0.0, stopping, capabilities)
                    )
            if claim is None and outage is not None:
                raise outage
            return claim
        finally:
            for task in (own, looking, stopped):
                task.cancel()
            await asyncio.gather(own, looking, stopped, return_exceptions=True)

    async def _watch(self, home: Shard) -> Shard:
        """Return another shard once one may have jobs."""
        while True:
            await asyncio.sleep(LOOK_S)
            if (found := await self._look(home)) is not None:
                return found

    async def _look(self, home: Shard) -> Shard | None:
        """Return another shard in which jobs wait, or leases may have expired; None where none is
        seen."""
        others = [shard for shard in self._shards if shard is not home]
        now = asyncio.get_running_loop().time()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_S
            return self._chance.choice(others)
        for shard in self._chance.sample(others, min(LOOKED_AT, len(others))):
            try:
                if await shard.waiting():
                    return shard
            except ConnectionError:
                continue
        return None

    async def claim_urgent(
        self, worker_id: str, gap: Gap, capabilities: Iterable[str] = ()
    ) -> Claim | None:
        home = await self._home.shard()
        return await home.leases.claim_urgent(worker_id, gap, capabilities)

    async def report_expected_end(self, claim: Claim, predicted_ms: float) -> None:
        await self._of(claim).report_expected_end(claim, predicted_ms)

    async def renew(self, claim: Claim, progress: float) -> LeaseState:
        return await self._of(claim).renew(claim, progress)

    async def report_stopped(self, claim: Claim) -> None:
        await self._of(claim).report_stopped(claim)

    async def complete(self, claim: Claim, facts: RunFacts, picture: bytes) -> bool:
        return await self._of(claim).complete(claim, facts, picture)

    async def complete_and_claim(
        self,
        claim: Claim,
        facts: RunFacts,
        picture: bytes,
        worker_id: str,
        capabilities: Iterable[str] = (),
    ) -> Completion:
        leases, home = self._of(claim), await self._home.shard()
        if leases is home.leases:
            return await leases.complete_and_claim(claim, facts, picture, worker_id, capabilities)
        return Completion(await leases.complete(claim, facts, picture))  # the next one is at home

    async def fail(self, claim: Claim, error: AnysrError) -> bool:
        return await self._of(claim).fail(claim, error)

    def _of(self, claim: Claim) -> Leases:
        return self._shards[shard_of(claim.job.id, len(self._shards))].leases


async def _without_outage(claiming: Awaitable[Claim | None]) -> Claim | None:
    """Return what a claim in another shard gives; nothing where that is away."""
    try:
        return await claiming
    except ConnectionError:
        return None


async def _claim_or_outage(
    own: asyncio.Task[Claim | None],
) -> tuple[Claim | None, ConnectionError | None]:
    """Return what a claim gave, or its outage: other shards can still have work."""
    try:
        return await own, None
    except ConnectionError as outage:
        return None, outage
