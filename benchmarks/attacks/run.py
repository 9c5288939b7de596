"""What an honest caller and the machine notice of each attack.

Each attack has a service of its own, so that it finds the same state whatever came before.
"""

from __future__ import annotations

import math
import time
from collections import Counter
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
PAUSE_S = 0.2
"""Of the honest caller, after a request that got no picture."""


@dataclass(frozen=True)
class Row:
    """One attack and its effect. The honest caller sends one request after the other, each on a
    connection of its own."""

    attack: str
    attempt: Attempt
    statuses: dict[int, int]
    """The honest caller's requests by the status of their answers; NO_ANSWER without one."""
    p50_ms: float
    """Of the pictures that the honest caller got; NaN without one."""
    p99_ms: float
    peak_bytes: dict[str, int]
    """Most resident memory during the attack, of the gateway and of the largest worker."""

    def answered(self, hundreds: int) -> int:
        """Return the number of answers of a class of statuses, such as 5."""
        return sum(n for status, n in self.statuses.items() if status // 100 == hundreds)

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
            send_one(client)
        attack.begin()
        processes.reset_peaks()
        samples = list(_while(attack, lambda: send_one(client)))
        peaks = processes.peak_bytes()
        return row_of(name, attack.attempt(), samples, peaks)


Sample = tuple[int, float]
"""Status and milliseconds of an honest request."""


def _while(attack: Attacking, request: Callable[[], Sample]) -> Iterator[Sample]:
    """Yield at least one sample, and more for as long as the attack goes on."""
    going_on = True
    while going_on:
        yield (sample := request())
        if sample[0] != HTTPStatus.OK:
            time.sleep(PAUSE_S)
        going_on = attack.goes_on()


def honest_caller(url: str) -> httpx.Client:
    """Return a client that opens a connection for each request, as a new caller would."""
    fresh = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
    return httpx.Client(base_url=url, timeout=PATIENCE_S, transport=fresh)


def send_one(client: httpx.Client) -> Sample:
    """Send the honest caller's picture, and wait for the answer."""
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


def row_of(name: str, attempt: Attempt, samples: list[Sample], peaks: dict[str, int]) -> Row:
    """Return the row of an attack from the honest caller's samples."""
    pictures = [ms for status, ms in samples if status == HTTPStatus.OK] or [math.nan]
    p50, p99 = np.percentile(pictures, (50, 99))
    statuses = dict(sorted(Counter(status for status, _ in samples).items()))
    return Row(name, attempt, statuses, float(p50), float(p99), peaks)
