"""One run: a service, its callers, the faults of a seed, and at the end what was broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx

from benchmarks.hook_receiver import receiver
from benchmarks.nemesis import history
from benchmarks.nemesis.aimed_strikes import AimedStrikes
from benchmarks.nemesis.audit import Audit
from benchmarks.nemesis.callers import Book, Caller
from benchmarks.nemesis.faults import Plan, schedule
from benchmarks.nemesis.history import Recorder
from benchmarks.nemesis.observing import Observer
from benchmarks.nemesis.requests import CALLERS, wishes
from benchmarks.nemesis.standstill import Standstill
from benchmarks.nemesis.starving import record_starving
from benchmarks.nemesis.striking import Nemesis
from benchmarks.nemesis.summary import Summary, summarise
from benchmarks.nemesis.topology import Topology, running
from benchmarks.nemesis.watching import Records, Watch, watch
from benchmarks.ports import free_ports

SEEING_S = 8.0
"""How long callers see their last requests through; the rest is asked for at the end of the run."""

Progress = Callable[[float, int], None]
"""Gets the seconds since the start, and the number of accepted jobs."""


def run(plan: Plan, folder: Path, progress: Progress) -> Summary:
    """Run a service under faults, and check what was seen.

    The history is kept in `folder` as `history.jsonl`, beside what the processes printed
    (`processes.log`). Raises RedisUnavailableError, and TimeoutError where the service does not
    become ready.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settled = asyncio.run(_recorded(plan, folder, progress))
    events = history.read(folder / "history.jsonl")
    return summarise(plan.seed, plan.minutes, events, settled=settled)


async def _recorded(plan: Plan, folder: Path, progress: Progress) -> bool:
    """Return whether the run came to its end, and all was asked for once more."""
    ending = asyncio.current_task()
    assert ending is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.cancel)
    (hook_port,) = free_ports(1)
    with (
        (folder / "history.jsonl").open("w") as lines,
        (folder / "processes.log").open("wb") as log,
    ):
        watched = Watch()
        recorder = Recorder(lines, watched.hear)

        def on_death(text: str) -> None:
            recorder.add(history.What.DIED, text=text)

        async with running(hook_port, log, on_death) as service, _client() as client:
            observer = Observer(client, service.urls, recorder)
            recorder.begin()
            time = Standstill(recorder)
            beside = (time.watch(), record_starving(service.workers, recorder))
            tasks = [asyncio.create_task(one) for one in beside]
            with _receiving(hook_port, observer, recorder, book := Book()):
                trial = Trial(plan, service, observer, recorder, book, time)
                whole = await trial.run(f"http://127.0.0.1:{hook_port}/hook", progress, watched)
                if whole:
                    await Audit(service, observer, recorder, book).run()
            for task in tasks:
                task.cancel()
            return whole


class Trial:
    """Callers and faults at the same time."""

    def __init__(
        self,
        plan: Plan,
        service: Topology,
        observer: Observer,
        recorder: Recorder,
        book: Book,
        time: Standstill,
    ) -> None:
        self._plan = plan
        self._service = service
        self._observer = observer
        self._recorder = recorder
        self._book = book
        self._time = time

    async def run(self, hook_url: str, progress: Progress, watched: Watch) -> bool:
        """Return when the last fault is over and the callers have seen their last requests through,
        for `SEEING_S` at most; or, with `until_broken`, once a promise is seen broken: False."""
        records = Records(self._service, self._recorder, self._book)
        once, over = self._plan.until_broken, asyncio.Event()
        watching = asyncio.create_task(watch(watched, records, self._recorder, over, once=once))
        showing = asyncio.create_task(self._show(progress))
        tasks = (asyncio.create_task(self._strike(hook_url)), watching, showing)
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
            return watching not in ended
        finally:
            over.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _strike(self, hook_url: str) -> None:
        plan, stopping = self._plan, asyncio.Event()
        parts = self._observer, self._recorder, self._book, hook_url
        callers = [Caller(plan.seed, *parts) for _ in range(CALLERS)]
        aimed = AimedStrikes(self._service, self._observer, self._book)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(caller.run(wishes(plan.seed, number), stopping))
                for number, caller in enumerate(callers)
            ]
            nemesis = Nemesis(self._service, self._recorder, aimed, self._time)
            end_s = 60.0 * plan.minutes
            await nemesis.strike(schedule(plan), end_s)
            await self._time.until(end_s)
            stopping.set()
            await asyncio.wait(tasks, timeout=SEEING_S)
            for task in tasks:
                task.cancel()

    async def _show(self, progress: Progress) -> None:
        while True:
            progress(self._recorder.now(), len(self._book.jobs))
            await asyncio.sleep(1.0)


@contextlib.asynccontextmanager
async def _client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_keepalive_connections=0)  # gateways are killed
    async with httpx.AsyncClient(limits=limits) as client:
        yield client


@contextlib.contextmanager
def _receiving(port: int, observer: Observer, recorder: Recorder, book: Book) -> Iterator[None]:
    """Receive webhooks, and record them on the event loop."""
    loop = asyncio.get_running_loop()

    def record(job: dict[str, object]) -> None:
        job_id = str(job["id"])
        book.announced.add(job_id)
        observer.state(job, book.jobs.get(job_id, -1), "webhook", recorder.now())

    def take(body: bytes, _: dict[str, str]) -> None:
        loop.call_soon_threadsafe(record, json.loads(body)["data"])

    with receiver(port, take):
        yield
