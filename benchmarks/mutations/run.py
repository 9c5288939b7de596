"""A run of mutated requests against a service of its own: what each answer must be, and what the
service must be afterwards."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from benchmarks.local_service import running_process
from benchmarks.mutations.request import MutatedRequest, drawn_request
from benchmarks.service_processes import ServiceProcesses
from benchmarks.specimens import specimens
from images.opening import read_header
from jobs.errors import InputError
from jobs.formats import WRITTEN

MOST_GROWTH = 1.2
"""Most resident memory at the end, in units of that after the warm-up."""
SETTLING_S = 8.0
"""Time before memory is measured: after five idle seconds a worker releases what it kept."""
WARM_UP_REQUESTS = 500
"""Mutations before the first one that counts, beside every specimen in every format."""
NO_ANSWER = 0
ANY_PIXELS = 1 << 62


@dataclass(frozen=True)
class Answer:
    """The answer to one request."""

    number: int
    status: int
    """HTTP status; NO_ANSWER without one."""
    code: str
    """The code of a problem; of a picture, its format."""
    seconds: float
    fault: str
    """What is wrong with the answer; empty for a right one."""


@dataclass(frozen=True)
class Report:
    """The outcome of a run."""

    counts: dict[tuple[int, str], int]
    """Answers by status and code."""
    slowest_s: float
    faults: list[Answer]
    lost_workers: int
    memory: dict[str, tuple[int, int]]
    """Bytes resident after the warm-up and at the end, by process."""

    @property
    def grown(self) -> list[str]:
        """The processes that have grown beyond MOST_GROWTH."""
        return [name for name, (old, new) in self.memory.items() if new > MOST_GROWTH * old]

    @property
    def passed(self) -> bool:
        return not (self.faults or self.lost_workers or self.grown)


def run(
    count: int,
    seed: int,
    callers: int,
    workers: int,
    bound_s: float,
    report: Callable[[int], None] = lambda done: None,
) -> Report:
    """Start a service, send `count` mutated requests by so many callers at once, and judge them; an
    answer after more than `bound_s` seconds is a fault."""
    with running_process(workers) as (url, process):
        processes = ServiceProcesses(process.pid)
        asyncio.run(_warm_up(url, seed, callers, bound_s))
        time.sleep(SETTLING_S)
        before, living = processes.resident_bytes(), processes.worker_pids()
        requests = (drawn_request(seed, number) for number in range(count))
        answers = asyncio.run(send_all(url, requests, callers, bound_s, report))
        time.sleep(SETTLING_S)
        after, lost = processes.resident_bytes(), len(living - processes.worker_pids())
    return Report(
        counts=dict(sorted(Counter((a.status, a.code) for a in answers).items())),
        slowest_s=max(answer.seconds for answer in answers),
        faults=sorted((a for a in answers if a.fault), key=lambda answer: answer.number),
        lost_workers=lost,
        memory={name: (before[name], after[name]) for name in before},
    )


def replay(number: int, seed: int, workers: int, bound_s: float) -> Answer:
    """Start a service, and send it the one request of this number."""
    with running_process(workers) as (url, _):
        requests = iter([drawn_request(seed, number)])
        (answer,) = asyncio.run(send_all(url, requests, 1, bound_s))
    return answer


async def _warm_up(url: str, seed: int, callers: int, bound_s: float) -> None:
    """Send every specimen in every output format, and mutations of numbers below 0."""
    whole = (
        MutatedRequest(-1, name, (), picture, "image/*", {"scale": "2", "format": output}, False)
        for name, picture in specimens().items()
        for output in WRITTEN
    )
    mutated = (drawn_request(seed, -number) for number in range(1, WARM_UP_REQUESTS + 1))
    for requests in (whole, mutated):
        await send_all(url, requests, callers, bound_s)


async def send_all(
    url: str,
    requests: Iterator[MutatedRequest],
    callers: int,
    bound_s: float,
    report: Callable[[int], None] = lambda done: None,
) -> list[Answer]:
    """Send requests, each caller one after the other, and return their answers."""
    answers: list[Answer] = []

    async def call(client: httpx.AsyncClient) -> None:
        for request in requests:
            answers.append(await _send(client, request, bound_s))
            report(len(answers))

    limits = httpx.Limits(max_connections=callers)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:
        await asyncio.gather(*(call(client) for _ in range(callers)))
    return answers


async def _send(client: httpx.AsyncClient, request: MutatedRequest, bound_s: float) -> Answer:
    since = time.perf_counter()
    try:
        async with asyncio.timeout(bound_s):
            answer = await client.send(_built(client, request))
    except TimeoutError:
        return Answer(request.number, NO_ANSWER, "", bound_s, f"no answer in {bound_s:g} s")
    except httpx.HTTPError as error:
        seconds = time.perf_counter() - since
        return Answer(request.number, NO_ANSWER, "", seconds, f"no answer: {error!r}")
    seconds = time.perf_counter() - since
    code, fault = judged(answer)
    return Answer(request.number, answer.status_code, code, seconds, fault)


def _built(client: httpx.AsyncClient, request: MutatedRequest) -> httpx.Request:
    if request.as_form:
        files = {"image": ("picture", request.picture, request.media_type)}
        return client.build_request("POST", "/upscale", data=request.parameters, files=files)
    return client.build_request(
        "POST",
        "/upscale",
        params=request.parameters,
        content=request.picture,
        headers={"Content-Type": request.media_type},
    )


def judged(answer: httpx.Response) -> tuple[str, str]:
    """Return the code of an answer, and what is wrong with it: an error of the server beside an
    overload that says when to come back, a refusal without a code, a picture that is none."""
    if answer.status_code == HTTPStatus.OK:
        return _picture(answer.content)
    try:
        code = str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return "", "an error without a code"
    overloaded = answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    if overloaded and "retry-after" in answer.headers:
        return code, ""
    return code, f"status {answer.status_code}, {code}" if answer.is_server_error else ""


def _picture(content: bytes) -> tuple[str, str]:
    try:
        return read_header(content, ANY_PIXELS).format.value, ""
    except InputError as error:
        return "", f"the picture cannot be read: {error.code}"


def described(numbers: Iterable[int], seed: int) -> Iterator[str]:
    """Yield a line per request of these numbers."""
    return (f"{number}: {drawn_request(seed, number)}" for number in numbers)
