"""One run: a service, its callers, the faults of a seed, and at the end what was broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx

from benchmarks.hook_receiver import receiver
from benchmarks.nemesis import history
from benchmarks.nemesis.audit import Audit
from benchmarks.nemesis.callers import Book, Caller
from benchmarks.nemesis.faults import Plan, schedule
from benchmarks.nemesis.history import Recorder
from benchmarks.nemesis.observing import Observer
from benchmarks.nemesis.requests import CALLERS, wishes
from benchmarks.nemesis.striking import Nemesis
from benchmarks.nemesis.summary import Summary, summarise
from benchmarks.nemesis.topology import Topology, running
from benchmarks.ports import free_ports

Progress = Callable[[float, int], None]
"""Gets the seconds since the start, and the number of accepted jobs."""


def run(plan: Plan, folder: Path | None, progress: Progress) -> Summary:
    """Run a service under faults, and check what was seen.

    The history is kept in `folder` as `history.jsonl`, beside what the processes printed
    (`processes.log`), or nowhere. Raises RedisUnavailableError, and TimeoutError where the service
    does not become ready.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(_recorded(plan, folder, progress))
        events = history.read(folder / "history.jsonl")
        return summarise(plan.seed, plan.minutes, events)


async def _recorded(plan: Plan, folder: Path, progress: Progress) -> None:
    ending = asyncio.current_task()
    assert ending is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.cancel)
    (hook_port,) = free_ports(1)
    with (
        (folder / "history.jsonl").open("w") as lines,
        (folder / "processes.log").open("wb") as log,
    ):
        recorder = Recorder(lines)

        def on_death(text: str) -> None:
            recorder.add(history.What.DIED, text=text)

        async with running(hook_port, log, on_death) as service, _client() as client:
            observer = Observer(client, service.urls, recorder)
            with _receiving(hook_port, observer, recorder, book := Book()):
                trial = Trial(plan, service, observer, recorder, book)
                await trial.run(f"http://127.0.0.1:{hook_port}/hook", progress)
                await Audit(service, observer, recorder, book).run()


class Trial:
    """Callers and faults at the same time."""

    def __init__(
        self,
        plan: Plan,
        service: Topology,
        observer: Observer,
        recorder: Recorder,
        book: Book,
    ) -> None:
        self._plan = plan
        self._service = service
        self._observer = observer
        self._recorder = recorder
        self._book = book

    async def run(self, hook_url: str, progress: Progress) -> None:
        """Return when the last fault is over and every caller has seen its last request through."""
        self._recorder.begin()
        stopping, began = asyncio.Event(), asyncio.get_running_loop().time()
        parts = self._observer, self._recorder, self._book, hook_url
        plan, seconds = self._plan, 60.0 * self._plan.minutes
        callers = [Caller(plan.seed, *parts) for _ in range(CALLERS)]
        async with asyncio.TaskGroup() as group:
            for number, caller in enumerate(callers):
                group.create_task(caller.run(wishes(plan.seed, number), stopping))
            shown = group.create_task(self._show(progress))
            faults = schedule(plan)
            await Nemesis(self._service, self._recorder).strike(faults, began)
            left_s = began + seconds - asyncio.get_running_loop().time()
            await asyncio.sleep(max(0.0, left_s))
            stopping.set()
            shown.cancel()

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
