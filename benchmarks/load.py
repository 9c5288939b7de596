"""Load on a running service, in an open or a closed loop.

In an open loop, the times of all requests are fixed before the run, and slow answers delay no later
request. Latency counts from that time, not from the actual sending (no coordinated omission). In a
closed loop, each caller waits for an answer before its next request.
"""

from __future__ import annotations

import asyncio
import csv
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import numpy as np

from benchmarks.local_service import server_timing
from benchmarks.pictures import draw_jpeg
from models.catalog import Catalog, read_catalog, resampled_db
from scheduling.rungs import FLOOR
from scheduling.simulation.workload import Kind, Workload

PATIENCE = 3.0
"""A client gives up after this many times its budget."""


@dataclass(frozen=True)
class Sample:
    """The outcome of one request, as measured by the client."""

    at_ms: float
    """Intended time of sending, from the beginning of the run."""
    budget_ms: float
    latency_ms: float
    """From the intended time of sending to the last byte."""
    sent_late_ms: float
    """From the intended to the actual sending: the delay of the load generator."""
    status: int
    """HTTP status; 0 without an answer."""
    model: str = ""
    width: float = 0.0
    reason: str = ""
    db: float | None = None
    lost_db: float | None = None
    """Below the best network of the ladder, where `db` is known."""
    resampled_lost_db: float = 0.0
    """The same of plain resampling, which a caller without a picture in time is left with."""
    reported_met: bool | None = None
    predicted_ms: float | None = None
    elapsed_ms: float | None = None
    """From the end of the upload to the answer, by the service's clock."""
    queue_ms: float | None = None
    """In the queue, until a worker claimed the job."""
    run_ms: float | None = None
    """From decoding to encoding, without pauses for other jobs."""
    yielded_ms: float | None = None
    """Those pauses; None without any."""

    @property
    def met(self) -> bool:
        return self.status == HTTPStatus.OK and self.latency_ms <= self.budget_ms


Answer = AbstractAsyncContextManager[aiohttp.ClientResponse]


class Endpoint(Protocol):
    """Sends requests to a service; an adapter for another service implements it."""

    def post(self, client: aiohttp.ClientSession, kind: Kind, budget_ms: float) -> Answer:
        """Return a context manager that sends a picture of this kind when entered."""


class AnysrEndpoint:
    """`POST /upscale` of AnySR Serve, with any further parameters (a pinned width, a model)."""

    def __init__(self, parameters: Mapping[str, str] | None = None) -> None:
        self._parameters = dict(parameters or {})

    def post(self, client: aiohttp.ClientSession, kind: Kind, budget_ms: float) -> Answer:
        parameters = {"scale": str(kind.scale), "latency_budget_ms": str(budget_ms)}
        return client.post(
            "/upscale",
            params={**parameters, **self._parameters},
            data=draw_jpeg(kind.width, kind.height),
            headers={"Content-Type": "image/jpeg"},
        )


class FormEndpoint:
    """Any service that accepts a picture as a form field. `path` and `fields` may contain {scale},
    {scale_int} and {budget_ms}."""

    def __init__(self, path: str, field: str, fields: Mapping[str, str]) -> None:
        self._path, self._field, self._fields = path, field, dict(fields)

    def post(self, client: aiohttp.ClientSession, kind: Kind, budget_ms: float) -> Answer:
        facts = {"scale": kind.scale, "scale_int": round(kind.scale), "budget_ms": budget_ms}
        form = aiohttp.FormData()
        for name, value in self._fields.items():
            form.add_field(name, value.format(**facts))
        picture = draw_jpeg(kind.width, kind.height)
        form.add_field(self._field, picture, filename="picture.jpg", content_type="image/jpeg")
        return client.post(self._path.format(**facts), data=form)


async def send(
    url: str,
    workload: Workload,
    endpoint: Endpoint,
    report: Callable[[int], None] = lambda done: None,
) -> list[Sample]:
    """Send a workload in real time; return one sample per request, in order.

    aiohttp takes a quarter of httpx's time per request, by which the client delays the requests of
    a burst.
    """
    for kind in workload.kinds:
        draw_jpeg(kind.width, kind.height)  # drawn before the start, and cached
    done = 0
    connector = aiohttp.TCPConnector(limit=0)
    patient = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(url, connector=connector, timeout=patient) as client:
        start = time.perf_counter() + 0.1
        before = [-1] * len(workload) if workload.after is None else workload.after.tolist()
        answered = [asyncio.Event() for _ in before]

        async def one(number: int) -> Sample:
            nonlocal done
            since = start
            if before[number] >= 0:
                await answered[before[number]].wait()
                since = time.perf_counter()
            due = since + float(workload.arrival_ms[number]) / 1e3
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            kind = workload.kinds[workload.kind[number]]
            sample = await _one(client, endpoint, kind, float(workload.budget_ms[number]), due)
            answered[number].set()
            done += 1
            report(done)
            return replace(sample, at_ms=1e3 * (due - start))

        return list(await asyncio.gather(*(one(n) for n in range(len(workload)))))


async def _one(
    client: aiohttp.ClientSession, endpoint: Endpoint, kind: Kind, budget_ms: float, due: float
) -> Sample:
    sent = time.perf_counter()
    status = 0
    headers: Mapping[str, str] = {}
    try:
        async with (
            asyncio.timeout(PATIENCE * budget_ms / 1e3 + 1),
            endpoint.post(client, kind, budget_ms) as answer,
        ):
            await answer.read()
            status, headers = answer.status, answer.headers
    except (aiohttp.ClientError, TimeoutError):
        pass  # no answer is an outcome: status 0
    stages, db = server_timing(headers.get("Server-Timing", "")), _db(headers, kind)
    return Sample(
        at_ms=0.0,
        budget_ms=budget_ms,
        latency_ms=1e3 * (time.perf_counter() - due),
        sent_late_ms=1e3 * (sent - due),
        status=status,
        model=headers.get("X-AnySR-Model", ""),
        width=float(headers.get("X-AnySR-Width", 0)),
        reason=headers.get("X-AnySR-Reason", ""),
        db=db,
        lost_db=None if db is None else _best_db(kind.scale) - db,
        resampled_lost_db=_best_db(kind.scale) - resampled_db(kind.scale),
        reported_met=_reported_met(headers),
        predicted_ms=_number(headers, "X-AnySR-Predicted-Ms"),
        elapsed_ms=_number(headers, "X-AnySR-Elapsed-Ms"),
        queue_ms=stages.get("queue"),
        run_ms=_run_ms(stages),
        yielded_ms=stages.get("yielded"),
    )


def _run_ms(stages: Mapping[str, float]) -> float | None:
    """Return the time of the worker's stages; None without any."""
    apart = ("upload", "queue", "yielded", "total")
    found = [ms for name, ms in stages.items() if name not in apart]
    return sum(found) if found else None


@dataclass(frozen=True)
class Summary:
    """Figures of a run. Fractions are of all requests."""

    requests: int
    seconds: float
    attainment: float
    """Fraction answered with a picture within the budget, by the client's clock."""
    admitted_attainment: float
    """The same, of the requests that were not refused (422, 429, 503)."""
    goodput: float
    """Pictures in time per second."""
    refused: float
    failed: float
    """No answer, or an error that is not a refusal."""
    mean_db: float | None
    """Expected PSNR-Y in dB of the pictures in time, where known, including resampled ones."""
    loss_db: float | None
    """What these pictures lose against the best network of the ladder, in dB, where known."""
    loss_of_all_db: float | None
    """The same of all requests, where one without a picture in time counts as resampled: so a
    strategy gains nothing by requests that it drops."""
    latency_ms: dict[str, float]
    """Percentiles over the pictures."""
    broken_promises: float
    """Fraction of the answers with `met` that were late by the client's clock."""
    sent_late_p99_ms: float
    statuses: dict[str, int]
    rungs: dict[str, float]
    reasons: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form."""
        return asdict(self)


REFUSALS = frozenset({422, 429, 503})


def summarise(samples: Sequence[Sample]) -> Summary:
    """Return the figures of a run. Raises ValueError without samples."""
    if not samples:
        raise ValueError("no request was sent")
    count = len(samples)
    met = [s for s in samples if s.met]
    pictures = [s for s in samples if s.status == HTTPStatus.OK]
    refused = sum(s.status in REFUSALS for s in samples)
    promised = [s for s in pictures if s.reported_met]
    quality = [s.db for s in met if s.db is not None]
    lost = [s.lost_db for s in met if s.lost_db is not None]
    left = [s.resampled_lost_db for s in samples if not s.met]
    seconds = max(s.at_ms + s.latency_ms for s in samples) / 1e3  # to the last answer
    latencies = [s.latency_ms for s in pictures] or [float("nan")]
    return Summary(
        requests=count,
        seconds=seconds,
        attainment=len(met) / count,
        admitted_attainment=len(met) / max(1, count - refused),
        goodput=len(met) / seconds,
        refused=refused / count,
        failed=(count - refused - len(pictures)) / count,
        mean_db=sum(quality) / len(quality) if quality else None,
        loss_db=sum(lost) / len(lost) if lost else None,
        loss_of_all_db=sum(lost + left) / count if len(lost) == len(met) else None,
        latency_ms={f"p{p}": float(np.percentile(latencies, p)) for p in (50, 90, 99)},
        broken_promises=sum(not s.met for s in promised) / max(1, len(promised)),
        sent_late_p99_ms=float(np.percentile([s.sent_late_ms for s in samples], 99)),
        statuses=dict(Counter(str(s.status) for s in samples)),
        rungs=_shares([f"{s.model}@{s.width:g}" for s in pictures]),
        reasons=_shares([s.reason for s in pictures]),
    )


def write_samples(samples: Sequence[Sample], path: Path) -> None:
    """Write one line of CSV for each request, in the order of sending."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in sorted(samples, key=lambda one: one.at_ms))


def _shares(names: Sequence[str]) -> dict[str, float]:
    return {name: n / len(names) for name, n in sorted(Counter(names).items())}


def _number(headers: Mapping[str, str], name: str) -> float | None:
    return float(headers[name]) if name in headers else None


def _db(headers: Mapping[str, str], kind: Kind) -> float | None:
    """Return the mean PSNR-Y over photographs of a shipped network or of resampling, as in the
    simulator; for other networks, the expected PSNR-Y of this picture from the service."""
    if headers.get("X-AnySR-Model") == FLOOR.model:
        return round(resampled_db(kind.scale), 2)
    model, width = headers.get("X-AnySR-Model"), _number(headers, "X-AnySR-Width")
    if model is not None and width is not None and model in _shipped().names:
        return _shipped().get(model).expected_db(width, kind.scale)
    return _number(headers, "X-AnySR-Expected-Db")


@lru_cache
def _best_db(scale: float) -> float:
    """Return the mean PSNR-Y over photographs of the best network that the service chooses."""
    free = [entry for entry in _shipped().models if entry.chosen_freely]
    widest = (entry.expected_db(entry.widths[-1].width, scale) for entry in free)
    return max(db for db in widest if db is not None)


@lru_cache(1)
def _shipped() -> Catalog:
    """Return the shipped catalog."""
    return read_catalog()


def _reported_met(headers: Mapping[str, str]) -> bool | None:
    deadline = headers.get("X-AnySR-Deadline")
    return None if deadline is None else deadline == "met"
