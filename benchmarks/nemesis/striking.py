"""Brings the faults of a schedule about, each at its moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from benchmarks.nemesis.aimed_strikes import AimedStrikes
from benchmarks.nemesis.aiming import Runs
from benchmarks.nemesis.faults import AIMED, ON_WORKER, Fault, Kind
from benchmarks.nemesis.history import Recorder, What
from benchmarks.nemesis.proxy import DOWN, UP
from benchmarks.nemesis.standstill import Standstill
from benchmarks.nemesis.topology import Topology

SLOW_S = 0.05
"""Pause before each piece of data of a slowed connection."""
STORED_POLL_S = 0.1


class Nemesis:
    """Strikes a service by a schedule."""

    def __init__(
        self, service: Topology, recorder: Recorder, aimed: AimedStrikes, time: Standstill
    ) -> None:
        self._service = service
        self._time = time
        self._aimed = aimed
        self._runs = Runs(service)
        self._recorder = recorder
        self._server = asyncio.Lock()
        """Held while Redis is down, or has taken what it could not store: killed then, it would
        forget that, as each server whose `appendfsync` is not `always`."""

    async def strike(self, faults: Iterable[Fault], end_s: float) -> None:
        """Bring all about, and return when the last one is over. An aimed one that has met no job
        after `end_s` is left out."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await self._time.until(fault.at_s)
                aimed = fault.kind in AIMED
                one = self._aim(fault, end_s - fault.at_s) if aimed else self._one(fault)
                group.create_task(one)

    async def _one(self, fault: Fault) -> None:
        at, in_hand = self._recorder.now(), await self._in_hand(fault)
        self._begun(fault.kind, at)
        await self._bring_about(fault)
        self._over(fault.kind, at, in_hand)

    async def _aim(self, fault: Fault, within_s: float) -> None:
        """Bring an aimed fault about, and look at what became of the job that it met."""
        begun: list[float] = []

        def on_begun() -> None:
            begun.append(self._recorder.now())
            self._begun(fault.kind, begun[0])

        met = await self._aimed.bring_about(fault, within_s, on_begun)
        if met is not None:
            job, as_said = met
            self._over(fault.kind, begun[0], as_said)
            await self._aimed.look_again(job)

    def _begun(self, kind: Kind, at: float) -> None:
        self._recorder.add(What.STRUCK, at=at, text=kind.value)

    def _over(self, kind: Kind, at: float, in_hand: bool) -> None:
        until, count = self._recorder.now(), int(in_hand)
        self._recorder.add(What.FAULT, at=at, until=until, text=kind.value, count=count)

    async def _in_hand(self, fault: Fault) -> bool:
        """Return whether the worker that a fault is about to meet has a job."""
        if fault.kind not in ON_WORKER:
            return False
        return fault.target in {run.worker for run in await self._runs.now()}

    async def _bring_about(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.WORKER_KILL:
                self._service.workers[fault.target].kill()
            case Kind.GATEWAY_KILL:
                self._service.gateways[fault.target].kill()
            case Kind.WORKER_STOP | Kind.GATEWAY_STOP:
                await self._stop(fault)
            case Kind.REDIS_KILL:
                await self._restart_redis(fault.seconds)
            case Kind.DISK_FULL:
                await self._fill_disk(fault.seconds)
            case _:
                await self._disturb(fault)

    async def _stop(self, fault: Fault) -> None:
        stopped = fault.kind is Kind.WORKER_STOP
        process = (self._service.workers if stopped else self._service.gateways)[fault.target]
        process.freeze()
        await asyncio.sleep(fault.seconds)
        process.thaw()

    async def _restart_redis(self, seconds: float) -> None:
        async with self._server:
            await asyncio.to_thread(self._service.store.kill)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._service.store.start)

    async def _fill_disk(self, seconds: float) -> None:
        store = self._service.store
        async with self._server:
            store.fill_disk()
            await asyncio.sleep(seconds)
            store.free_disk()
            while not await asyncio.to_thread(store.has_stored_all):  # noqa: ASYNC110 - Redis's state
                await asyncio.sleep(STORED_POLL_S)

    async def _disturb(self, fault: Fault) -> None:
        proxy = self._service.proxies[fault.target]
        match fault.kind:
            case Kind.CUT:
                proxy.cut()
            case Kind.SLOW:
                proxy.delay_s = SLOW_S
            case Kind.UNHEARD:
                proxy.hold_up(UP)
            case Kind.UNANSWERED:
                proxy.hold_up(DOWN)
            case _:
                proxy.hold_up(UP, DOWN)
        await asyncio.sleep(fault.seconds)
        if fault.resets:
            proxy.cut()
        proxy.let_go()
        proxy.delay_s = 0.0
