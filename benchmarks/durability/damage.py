"""A damaged append-only file: whether the server starts, and whose pictures the queue hands out.

A server's folder with waiting and finished jobs is copied, and each copy damaged at one place: cut
there, or with one bit turned. The kind and the place are drawn by the seed, over the bytes of all
its files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.durability.server import APPENDING, TrialServer, any_server, running
from benchmarks.durability.trial_jobs import claim_all, named_by, picture_of, queues_of, trial_job
from jobs.errors import AnysrError
from jobs.job import Reason, RunFacts
from jobs.redis_queue import RedisQueue
from jobs.server_process import RedisUnavailableError

FACTS = RunFacts("none", 1.0, Reason.WIDEST, 1.0, 1.0)
WAITING, FINISHED = 40, 20
REWRITE_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Report:
    """What became of the damaged copies."""

    whole: int
    """Copies on which the server started, and everything was there."""
    parts: int
    """Copies on which it started without some jobs or pictures."""
    refused: Counter[str]
    """Copies on which it refused to start, by the last line that it printed."""
    errors: Counter[str]
    """Jobs that ended with an error, or whose picture was refused, by its code."""
    altered: int
    """Pictures that came back with other bytes than were sent, without an error."""
    foreign: int
    """Pictures of another job."""


def damage(places: int, seed: int, progress: Callable[[int], None]) -> Report:
    """Damage a server's files at so many places, one after the other. `progress` gets the number
    that is done. Raises RedisUnavailableError."""
    chance, executable = random.Random(seed), any_server()
    trial = _Trial()
    with tempfile.TemporaryDirectory(prefix="anysr-damage-") as name:
        folder = Path(name)
        asyncio.run(_fill(executable, folder / "intact", trial))
        for place in range(places):
            copy = folder / "copy"
            shutil.copytree(folder / "intact", copy)
            _damage(copy, chance)
            trial.judge(executable, copy)
            shutil.rmtree(copy)
            progress(place + 1)
    return trial.report()


class _Trial:
    """The jobs of the intact folder, and what was found of them in the copies."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.finished: list[str] = []
        self._whole = self._parts = self._altered = self._foreign = 0
        self._refused: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    def judge(self, executable: str, folder: Path) -> None:
        """Start a server on a copy, and look for all jobs and pictures."""
        server = TrialServer(executable, folder, APPENDING)
        try:
            with running(server):
                missing = asyncio.run(self._missing(server.url))
        except RedisUnavailableError as error:
            self._refused[_without_names(str(error))] += 1
            return
        self._parts += missing
        self._whole += not missing

    async def _missing(self, url: str) -> bool:
        """Return whether a job or a picture is missing or altered."""
        async with queues_of(url) as (queue,):
            pictures = [await self._result(queue, job_id) for job_id in self.finished]
            found = await claim_all(queue)
            for job_id in set(self.waiting) - found.whole - found.altered - found.foreign:
                await self._count_end(queue, job_id)
        self._altered += len(found.altered)
        self._foreign += len(found.foreign)
        return len(found.whole) < len(self.waiting) or not all(pictures)

    async def _result(self, queue: RedisQueue, job_id: str) -> bool:
        """Return whether a finished job has its own picture."""
        try:
            picture = await queue.submissions.result(await queue.submissions.view(job_id))
        except AnysrError as error:
            self._count_error(error)
            return False
        if picture == picture_of(job_id):
            return True
        self._foreign += named_by(picture) is not None
        self._altered += named_by(picture) is None
        return False

    async def _count_end(self, queue: RedisQueue, job_id: str) -> None:
        """Count why a waiting job was not handed out."""
        try:
            view = await queue.submissions.view(job_id)
            self._count_error(view.error)
        except AnysrError as error:
            self._count_error(error)

    def _count_error(self, error: AnysrError) -> None:
        self._errors[error.code] += 1

    def report(self) -> Report:
        """Return what was found."""
        return Report(
            *(self._whole, self._parts, self._refused, self._errors, self._altered, self._foreign)
        )


async def _fill(executable: str, folder: Path, trial: _Trial) -> None:
    """Leave a folder with finished and waiting jobs, half of them in the rewritten file."""
    with running(TrialServer(executable, folder, APPENDING)) as server:
        async with queues_of(server.url) as (queue,):
            for _ in range(FINISHED):
                trial.finished.append(await _submit(queue))
            for _ in range(FINISHED):
                claim = await queue.leases.claim("trial", 0.0)
                assert claim is not None
                await queue.leases.complete(claim, FACTS, picture_of(claim.job.id))
            trial.waiting += [await _submit(queue) for _ in range(WAITING // 2)]
            _rewrite(server)
            trial.waiting += [await _submit(queue) for _ in range(WAITING - WAITING // 2)]


async def _submit(queue: RedisQueue) -> str:
    job = trial_job()
    await queue.submissions.submit(job, picture_of(job.id))
    return job.id


def _rewrite(server: TrialServer) -> None:
    """Have the append-only file rewritten, and return when it is."""
    until = time.monotonic() + REWRITE_TIMEOUT_S
    with contextlib.closing(server.client()) as client:
        client.bgrewriteaof()
        while client.info("persistence")["aof_rewrites"] < 1 or _rewriting(client.info()):
            if time.monotonic() > until:
                raise RedisUnavailableError("The append-only file was not rewritten in time.")
            time.sleep(0.01)


def _rewriting(info: dict[str, int]) -> bool:
    return bool(info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])


def _damage(folder: Path, chance: random.Random) -> None:
    """Cut a file of a folder, or turn a bit of it, at a place that is drawn over all bytes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    (file,) = chance.choices(files, [file.stat().st_size for file in files])
    place = chance.randrange(file.stat().st_size)
    if chance.getrandbits(1):
        os.truncate(file, place)
        return
    content = bytearray(file.read_bytes())
    content[place] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def _without_names(line: str) -> str:
    """Return a line of a server's log without its process, time, numbers and names of files."""
    text = line.partition(" # ")[2] or line
    words = (word for word in text.split() if not any(mark in word for mark in "/0123456789"))
    return " ".join(words)
