"""Requests to the gateways whose every answer goes into the history."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from benchmarks.nemesis import marks
from benchmarks.nemesis.history import Recorder, What

ANSWER_S = 8.0
"""How long an answer is waited for: a gateway may be stopped."""
ENDS = frozenset({"succeeded", "failed", "cancelled"})

Job = dict[str, Any]


class Observer:
    """Sends requests to one gateway or another, and records what comes."""

    def __init__(
        self, client: httpx.AsyncClient, urls: tuple[str, ...], recorder: Recorder
    ) -> None:
        self._client = client
        self._urls = urls
        self._recorder = recorder
        self._drawn = random.Random(len(urls))

    async def send(
        self, method: str, path: str, mark: int, via: str, timeout_s: float = ANSWER_S, **more: Any
    ) -> httpx.Response | None:
        """Return the answer; None where none came. Errors are recorded."""
        since, url = self._recorder.now(), self._drawn.choice(self._urls)
        about = {"mark": mark, "via": via, "since": since}
        try:
            answer = await self._client.request(method, url + path, timeout=timeout_s, **more)
        except httpx.HTTPError as error:
            self._recorder.add(What.NO_ANSWER, **about, text=type(error).__name__)
            return None
        if answer.is_error and answer.status_code not in (409, 410):
            self._recorder.add(What.REFUSED, **about, code=code_of(answer))
        return answer

    async def job(self, job_id: str, mark: int, via: str, method: str = "GET") -> Job | None:
        """Return a job as it is answered, or None."""
        since = self._recorder.now()
        answer = await self.send(method, f"/jobs/{job_id}", mark, via)
        if answer is None or answer.is_error:
            return None
        return self.state(answer.json(), mark, via, since)

    async def changes(self, job_id: str, mark: int) -> AsyncIterator[Job]:
        """Yield a job at each of its changes, to its end or that of the connection."""
        since, url = self._recorder.now(), self._drawn.choice(self._urls)
        path = f"{url}/jobs/{job_id}/events"
        try:
            async with self._client.stream("GET", path, timeout=ANSWER_S) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        yield self.state(json.loads(line[6:]), mark, "events", since)
        except httpx.HTTPError as error:
            text = type(error).__name__
            self._recorder.add(What.NO_ANSWER, mark=mark, via="events", since=since, text=text)

    async def picture(self, job_id: str, mark: int, via: str) -> bool:
        """Fetch the picture of a job that has succeeded, and return whether that was answered."""
        since = self._recorder.now()
        answer = await self.send("GET", f"/jobs/{job_id}/result", mark, via)
        if answer is None or answer.status_code in (429, 503):
            return False
        self.made(answer, mark, via, since, job_id)
        return True

    def made(
        self, answer: httpx.Response, mark: int, via: str, since: float, job_id: str | None
    ) -> None:
        """Record a picture, or the error in its place."""
        about = {"mark": mark, "via": via, "since": since, "job": job_id}
        if answer.is_success:
            found = marks.read(answer.content)
            self._recorder.add(What.PICTURE, **about, found=found)
        else:
            self._recorder.add(What.NO_PICTURE, **about, code=code_of(answer))

    def state(self, job: Mapping[str, Any], mark: int, via: str, since: float) -> Job:
        """Record a job as it was shown."""
        error = job.get("error") or {}
        self._recorder.add(
            What.STATE,
            mark=mark,
            via=via,
            since=since,
            job=job["id"],
            status=job["status"],
            code=error.get("code"),
            submitted_ms=job["submitted_ms"],
            deadline_ms=job["deadline_ms"],
            finished_ms=job["finished_ms"],
            run_ms=(job.get("run") or {}).get("run_ms"),
        )
        return dict(job)


def code_of(answer: httpx.Response) -> str:
    """Return the code of an error, or else its status."""
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)
