"""Clients of a divided queue: their counters are at one place."""

from __future__ import annotations

from dataclasses import replace

from jobs.client_limits import Allowance, ClientLimits
from jobs.queue import Clients


class ShardedClients(Clients):
    """`common` has the counters. How many jobs wait is in the shards, and compared at the
    submission (`jobs.shards.charges`)."""

    def __init__(self, common: Clients) -> None:
        self._common = common

    async def allow(self, limits: ClientLimits, *, submits: bool) -> Allowance:
        return await self._common.allow(replace(limits, jobs_waiting=None), submits=submits)
