"""Callers of a run: each sends its requests one after the other, and sees each through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.nemesis import marks
from benchmarks.nemesis.history import Recorder, What
from benchmarks.nemesis.observing import ENDS, Observer
from benchmarks.nemesis.requests import Way, Wish

POLL_S = 0.2
RETRY_S = 0.3
SUBMITTING_S = 30.0
"""How long a request that gets no answer, or 503, is sent again."""
WAITING_S = 40.0
"""How long a caller waits for the end of its job; the rest is seen at the end of the run."""
ANSWER_S = 30.0
"""The same for `POST /upscale`."""
AFTER_S = 0.5
"""After a cancellation, until the job is looked at once more."""


@dataclass
class Book:
    """The jobs that were accepted in a run, and those whose end was announced."""

    jobs: dict[str, int] = field(default_factory=dict)
    """Marks by job."""
    hooks: set[str] = field(default_factory=set)
    """Jobs with a webhook."""
    announced: set[str] = field(default_factory=set)


class Caller:
    """Works off requests."""

    def __init__(
        self, seed: int, observer: Observer, recorder: Recorder, book: Book, hook_url: str
    ) -> None:
        self._seed = seed
        self._observer = observer
        self._recorder = recorder
        self._book = book
        self._hook_url = hook_url

    async def run(self, wishes: Iterable[Wish], stopping: asyncio.Event) -> None:
        """Send one after the other, until `stopping` is set and the last one was seen through."""
        for wish in wishes:
            await asyncio.sleep(wish.pause_s)
            if stopping.is_set():
                return
            picture = await asyncio.to_thread(marks.drawn, wish.mark, wish.cell)
            match wish.way:
                case Way.ANSWER:
                    await self._answered(wish, picture)
                case Way.LEAVE:
                    await self._left(wish, picture)
                case _:
                    await self._as_job(wish, picture)

    async def _as_job(self, wish: Wish, picture: bytes) -> None:
        job_id = await self._submit(wish, picture)
        if job_id is None:
            return
        if wish.repeats:
            await self._submit(wish, picture)
        if wish.way is Way.CANCEL:
            await self._cancel(wish, job_id)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAITING_S):
                await self._see_through(wish, job_id)

    async def _see_through(self, wish: Wish, job_id: str) -> None:
        """Wait for the end of a job, and fetch its picture if it has one."""
        answered = await self._end(wish, job_id) != "succeeded"
        while not answered:
            answered = await self._observer.picture(job_id, wish.mark, "result")
            await asyncio.sleep(RETRY_S)

    async def _submit(self, wish: Wish, picture: bytes) -> str | None:
        """Return the id of the job; None where it was refused."""
        until = self._recorder.now() + SUBMITTING_S
        hook = wish.way is Way.WEBHOOK
        asked = self._parameters(wish) | ({"webhook_url": self._hook_url} if hook else {})
        while self._recorder.now() < until:
            self._recorder.add(What.SUBMIT, mark=wish.mark)
            answer = await self._observer.send(
                "POST",
                "/jobs",
                wish.mark,
                "post",
                params=asked,
                content=picture,
                headers=self._headers(wish),
            )
            if answer is not None and answer.is_success:
                job = answer.json()
                self._accepted(job["id"], wish.mark, hook)
                return str(job["id"])
            if answer is not None and answer.status_code != 503:
                return None
            await asyncio.sleep(RETRY_S)
        return None

    async def _end(self, wish: Wish, job_id: str) -> str:
        """Return the status with which a job has ended, learnt in the way of the wish."""
        while True:
            if wish.way is Way.EVENTS:
                async for job in self._observer.changes(job_id, wish.mark):
                    if job["status"] in ENDS:
                        return str(job["status"])
            elif wish.way is Way.POLL or job_id in self._book.announced:
                seen = await self._observer.job(job_id, wish.mark, "poll")
                if seen is not None and seen["status"] in ENDS:
                    return str(seen["status"])
            await asyncio.sleep(POLL_S)

    async def _cancel(self, wish: Wish, job_id: str) -> None:
        await asyncio.sleep(wish.patience_s)
        until = self._recorder.now() + WAITING_S
        while self._recorder.now() < until:
            job = await self._observer.job(job_id, wish.mark, "cancel", "DELETE")
            if job is not None:
                break
            await asyncio.sleep(RETRY_S)
        await self._observer.job(job_id, wish.mark, "poll")
        await asyncio.sleep(AFTER_S)
        await self._observer.job(job_id, wish.mark, "poll")
        await self._observer.picture(job_id, wish.mark, "result")

    async def _answered(self, wish: Wish, picture: bytes) -> None:
        until = self._recorder.now() + WAITING_S
        while self._recorder.now() < until:
            since = self._recorder.now()
            self._recorder.add(What.SUBMIT, mark=wish.mark)
            answer = await self._observer.send(
                "POST",
                "/upscale",
                wish.mark,
                "answer",
                ANSWER_S,
                params=self._parameters(wish),
                content=picture,
                headers=self._headers(wish),
            )
            if answer is not None and answer.status_code != 503:
                job_id = answer.headers.get("X-Request-ID") if answer.is_success else None
                if job_id is not None:
                    self._accepted(job_id, wish.mark, hook=False)
                self._observer.made(answer, wish.mark, "answer", since, job_id)
                return
            await asyncio.sleep(RETRY_S)

    async def _left(self, wish: Wish, picture: bytes) -> None:
        since = self._recorder.now()
        answer = await self._observer.send(
            "POST",
            "/upscale",
            wish.mark,
            "answer",
            wish.patience_s + 0.01,
            params=self._parameters(wish),
            content=picture,
        )
        if answer is not None and answer.is_success:
            self._observer.made(answer, wish.mark, "answer", since, None)

    def _accepted(self, job_id: str, mark: int, hook: bool) -> None:
        self._recorder.add(What.ACCEPTED, mark=mark, job=job_id, hook=hook)
        self._book.jobs[job_id] = mark
        if hook:
            self._book.hooks.add(job_id)

    def _parameters(self, wish: Wish) -> dict[str, str]:
        on_miss = "reject" if wish.rejects else "degrade"
        budget = str(wish.budget_ms)
        return {"scale": f"{wish.scale:g}", "latency_budget_ms": budget, "on_miss": on_miss}

    def _headers(self, wish: Wish) -> dict[str, str]:
        return {"Idempotency-Key": f"{self._seed}-{wish.mark}"}
