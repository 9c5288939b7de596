"""A run: a service of its own, its callers, and samples of what it has, all kept in a folder."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import signal
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import TextIO

import httpx
import redis

from benchmarks.local_service import running_with_log
from benchmarks.ports import free_ports
from benchmarks.soak.asks import asks
from benchmarks.soak.callers import Callers
from benchmarks.soak.folder import KEYS, LOG, OUTCOMES, PAUSES, PROCESSES, STORES, begin
from benchmarks.soak.load import Load
from benchmarks.soak.neighbour import Neighbour, neighbour
from benchmarks.soak.outcomes import OutcomeFile
from benchmarks.soak.pace import Pace
from benchmarks.soak.pauses import Pause, PauseWatch, clock
from benchmarks.soak.plan import Phase, Plan
from benchmarks.soak.processes import ProcessTree
from benchmarks.soak.samples import SampleFiles
from benchmarks.soak.settings import COSTS, TEMPORARY, environment_of
from benchmarks.soak.stores import Stores

WORKERS = 1
"""As `anysr serve` has by default."""
KEPT_ALIVE_S = 5.0
"""How long callers keep a connection that they do not use: less than a rest."""

Progress = Callable[[float, int], None]
"""Gets the seconds since the start, and the number of requests that were seen through."""


def run(
    plan: Plan, folder: Path, progress: Progress, report: Callable[[], None], report_s: float
) -> None:
    """Run a service as planned. Everything seen is written to `folder` at once, so that an aborted
    run leaves it; `report` is called every `report_s` seconds, on another thread, and at the end.

    Raises FileExistsError for a folder that has a run already, and as `running_with_log`.
    """
    begin(folder, plan)
    (port,) = free_ports(1)
    settings = environment_of(folder, port)
    with (
        (folder / LOG).open("wb") as log,
        neighbour(port) as partner,
        running_with_log(WORKERS, settings, log) as (url, process),
    ):
        tree, places = ProcessTree(process.pid), (folder / TEMPORARY, (folder / COSTS,))
        with contextlib.closing(Stores(tree.redis_socket(), *places)) as stores:
            soak = Soak(plan, folder, tree, stores)
            try:
                asyncio.run(soak.run(url, partner, progress, report, report_s))
            except asyncio.CancelledError:  # by SIGTERM
                pass
            finally:
                report()


class Soak:
    """The callers of a running service, and the samples of it."""

    def __init__(self, plan: Plan, folder: Path, tree: ProcessTree, stores: Stores) -> None:
        self._plan = plan
        self._folder = folder
        self._tree = tree
        self._stores = stores
        self._now = clock()

    async def run(
        self,
        url: str,
        partner: Neighbour,
        progress: Progress,
        report: Callable[[], None],
        report_s: float,
    ) -> None:
        """Return when the plan has ended, or on SIGTERM."""
        ending = asyncio.current_task()
        assert ending is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.cancel)
        self._now = clock()
        async with contextlib.AsyncExitStack() as stack:
            outcomes, processes, stores, pauses, keys = (
                stack.enter_context((self._folder / name).open("w", newline=""))
                for name in (OUTCOMES, PROCESSES, STORES, PAUSES, KEYS)
            )
            client = await stack.enter_async_context(_client(url))
            callers = Callers(client, partner, str(self._plan.seed))
            pace = Pace(self._plan.cores, self._now, self._tree.spent_s)
            load = Load(self._plan, self._now, callers, pace, OutcomeFile(outcomes))
            files, period_s = SampleFiles(processes, stores), self._plan.period_s
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(PauseWatch(self._now, _writing(pauses)).run()),
                    group.create_task(self._every(1.0, lambda: progress(self._now(), load.seen))),
                    group.create_task(self._every(period_s, lambda: self._sample(files))),
                    group.create_task(self._every(period_s, lambda: self._list_keys(keys))),
                    group.create_task(self._every(report_s, report)),
                ]
                await load.run(asks(self._plan.seed))
                for task in beside:
                    task.cancel()

    def _sample(self, files: SampleFiles) -> None:
        at_s = self._now()
        phase = self._plan.phase_at(at_s)
        files.add(at_s, phase, self._tree.sample(), self._stores.sample())

    def _list_keys(self, file: TextIO) -> None:
        at_s = self._now()
        if self._plan.phase_at(at_s) is not Phase.SETTLED:
            return
        with contextlib.suppress(redis.RedisError, OSError):
            kinds = self._stores.kinds_of_keys()
            file.write(json.dumps({"at_s": at_s, "kinds": kinds}) + "\n")
            file.flush()

    async def _every(self, period_s: float, call: Callable[[], None]) -> None:
        """Call on another thread, at multiples of a period that did not pass unnoticed."""
        while True:
            await asyncio.sleep(period_s - self._now() % period_s)
            await asyncio.to_thread(call)


def _writing(file: TextIO) -> Callable[[Pause], None]:
    lines = csv.writer(file)

    def write(pause: Pause) -> None:
        lines.writerow(astuple(pause))
        file.flush()

    return write


def _client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(keepalive_expiry=KEPT_ALIVE_S)
    return httpx.AsyncClient(base_url=url, limits=limits)
