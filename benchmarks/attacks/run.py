"""What an honest caller and the machine notice of each attack.

Each attack has a service of its own, so that it finds the same state whatever came before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import httpx
import numpy as np

from benchmarks.attacks.attacking import Attacking, Attempt, attacking
from benchmarks.local_service import running_process
from benchmarks.pictures import draw_jpeg
from benchmarks.service_processes import ServiceProcesses

SIDE = 64
PATIENCE_S = 60.0
"""After which the honest caller gives up; the request counts with this time."""
WARM_UP_REQUESTS = 10
NO_ANSWER = 0


@dataclass(frozen=True)
class Row:
    """One attack and its effect. The honest caller sends one request after the other, each on a
    connection of its own."""

    attack: str
    attempt: Attempt
    requests: int
    p50_ms: float
    p99_ms: float
    server_errors: int
    """Answers of 500 and above to the honest caller."""
    refused: int
    """Answers of 400 to 499 to the honest caller."""
    unanswered: int
    """Requests of the honest caller without an answer."""
    peak_bytes: dict[str, int]
    """Most resident memory during the attack, of the gateway and of the largest worker."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form."""
        return asdict(self)


def run_attacks(names: Sequence[str], seconds: float, workers: int) -> Iterator[Row]:
    """Yield the row of each attack, each of so many seconds, against default settings."""
    for name in names:
        with running_process(workers) as (url, process):
            yield _run_one(name, url, ServiceProcesses(process.pid), seconds)


def _run_one(name: str, url: str, processes: ServiceProcesses, seconds: float) -> Row:
    with honest_caller(url) as client, attacking(name, httpx.URL(url).port or 0, seconds) as attack:
        for _ in range(WARM_UP_REQUESTS):
            _request(client)
        attack.begin()
        processes.reset_peaks()
        samples = list(_while(attack, lambda: _request(client)))
        peaks = processes.peak_bytes()
        return _row(name, attack.attempt(), samples, peaks)


Sample = tuple[int, float]
"""Status and milliseconds of an honest request."""


def _while(attack: Attacking, request: Callable[[], Sample]) -> Iterator[Sample]:
    """Yield at least one sample, and more for as long as the attack goes on."""
    yield request()
    while attack.goes_on():
        yield request()


def honest_caller(url: str) -> httpx.Client:
    """Return a client that opens a connection for each request, as a new caller would."""
    fresh = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
    return httpx.Client(base_url=url, timeout=PATIENCE_S, transport=fresh)


def _request(client: httpx.Client) -> Sample:
    since = time.perf_counter()
    try:
        answer = client.post(
            "/upscale",
            params={"scale": 2},
            content=draw_jpeg(SIDE, SIDE),
            headers={"Content-Type": "image/jpeg"},
        )
        status = answer.status_code
    except httpx.HTTPError:
        status = NO_ANSWER
    return status, 1e3 * (time.perf_counter() - since)


def _row(name: str, attempt: Attempt, samples: list[Sample], peaks: dict[str, int]) -> Row:
    statuses = [status for status, _ in samples]
    p50, p99 = np.percentile([ms for _, ms in samples], (50, 99))
    return Row(
        attack=name,
        attempt=attempt,
        requests=len(samples),
        p50_ms=float(p50),
        p99_ms=float(p99),
        server_errors=sum(status >= HTTPStatus.INTERNAL_SERVER_ERROR for status in statuses),
        refused=sum(400 <= status < 500 for status in statuses),
        unanswered=statuses.count(NO_ANSWER),
        peak_bytes=peaks,
    )
