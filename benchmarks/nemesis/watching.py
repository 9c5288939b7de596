"""Looks at a run while it goes on: what its history shows by now, and what the queue knows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import redis.exceptions

from benchmarks.nemesis.callers import Book
from benchmarks.nemesis.checker import Violation, broken_by, broken_in
from benchmarks.nemesis.history import Event, Recorder, What
from benchmarks.nemesis.observing import ENDS
from benchmarks.nemesis.story import Story
from benchmarks.nemesis.topology import Topology

LOOK_S = 0.25
MOST_AT_ONCE = 100
"""Records that are read in one look."""
SETTLED_S = 1.5
"""After its end, before the claims of a job are counted: by then a standstill is known as well."""


class Watch:
    """Checks what is new in a history."""

    def __init__(self) -> None:
        self._story = Story()
        self._new: list[Event] = []
        self._said: set[str] = set()

    def hear(self, event: Event) -> None:
        """Keep an event for the next look."""
        self._new.append(event)

    def look(self) -> Iterator[Violation]:
        """Yield what was broken since the last look."""
        new, self._new = self._new, []
        for event in new:
            self._story.add(event)
        jobs = {event.job for event in new if event.job in self._story.jobs}
        found = [v for event in new for v in broken_by(self._story, event)]
        found += [v for job in jobs if job for v in broken_in(self._story, self._story.jobs[job])]
        for violation in found:
            if violation.text not in self._said:
                self._said.add(violation.text)
                yield violation


class Records:
    """Reads the records of accepted jobs, past all proxies, until each has ended."""

    def __init__(self, service: Topology, recorder: Recorder, book: Book) -> None:
        self._service = service
        self._recorder = recorder
        self._book = book
        self._ended_at: dict[str, float] = {}
        self._recorded: set[str] = set()

    async def look(self) -> None:
        """Record how often jobs were claimed that have ended, `SETTLED_S` ago at least."""
        open_jobs = [job for job in self._book.jobs if job not in self._recorded][:MOST_AT_ONCE]
        reads = self._service.client.pipeline(transaction=False)
        for job in open_jobs:
            reads.hmget(self._service.keys.record(job), "status", "attempt")
        found: list[tuple[str | None, str | None]] = []
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            found = await reads.execute()
        for job, (status, attempt) in zip(open_jobs, found, strict=False):
            if status in ENDS and self._is_settled(job):
                self._recorded.add(job)
                count, mark = int(attempt or 0), self._book.jobs[job]
                self._recorder.add(What.RECORD, mark=mark, job=job, count=count)

    def _is_settled(self, job: str) -> bool:
        now = self._recorder.now()
        return now - self._ended_at.setdefault(job, now) >= SETTLED_S


async def watch(
    watched: Watch, records: Records, recorder: Recorder, stopping: asyncio.Event, *, once: bool
) -> None:
    """Record what is broken as soon as it is seen, until `stopping` is set; with `once`, return
    then. redis-py may lose a cancellation while it connects."""
    while not stopping.is_set():
        await asyncio.sleep(LOOK_S)
        await records.look()
        for violation in watched.look():
            recorder.add(What.NOTICED, text=str(violation))
            if once:
                return
