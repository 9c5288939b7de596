"""Load on a running service: an open loop, in which a slow answer holds no later request back, or
callers of whom each waits for an answer before the next request.

In an open loop every request has its moment before the run begins, and its latency counts from
that moment, not from when the client got round to sending it: no coordinated omission. In a closed
loop that moment follows the answer before.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
import numpy as np

from benchmarks.pictures import draw_jpeg
from jobs.job import Reason
from models.catalog import Catalog, read_catalog, resampled_db
from scheduling.simulation.workload import Kind, Workload

PATIENCE = 3.0
"""A client gives up after this many times its budget."""


@dataclass(frozen=True)
class Sample:
    """What became of one request, as its client saw it."""

    at_ms: float
    """The moment at which it was to be sent, from the beginning of the run."""
    budget_ms: float
    latency_ms: float
    """From the intended moment of sending to the last byte."""
    sent_late_ms: float
    """How long after its moment it was sent: the load generator's own delay."""
    status: int
    """0 when no answer came."""
    model: str = ""
    width: float = 0.0
    reason: str = ""
    db: float | None = None
    said_met: bool | None = None
    predicted_ms: float | None = None
    elapsed_ms: float | None = None

    @property
    def met(self) -> bool:
        return self.status == HTTPStatus.OK and self.latency_ms <= self.budget_ms


Answer = AbstractAsyncContextManager[aiohttp.ClientResponse]


class Endpoint(Protocol):
    """How a service is asked; an adapter for another service is one such class."""

    def post(self, client: aiohttp.ClientSession, kind: Kind, budget_ms: float) -> Answer:
        """Send a picture of this kind when the answer is entered."""


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
    """Any service that takes a picture as a form field: `path` and `fields` may hold {scale},
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

    By aiohttp, which takes a quarter of httpx's time for a request: in a burst that is what each
    request waits for before it leaves the client.
    """
    for kind in workload.kinds:
        draw_jpeg(kind.width, kind.height)  # before the clock runs
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
    return Sample(
        at_ms=0.0,
        budget_ms=budget_ms,
        latency_ms=1e3 * (time.perf_counter() - due),
        sent_late_ms=1e3 * (sent - due),
        status=status,
        model=headers.get("X-AnySR-Model", ""),
        width=float(headers.get("X-AnySR-Width", 0)),
        reason=headers.get("X-AnySR-Reason", ""),
        db=_db(headers, kind),
        said_met=_said(headers),
        predicted_ms=_number(headers, "X-AnySR-Predicted-Ms"),
        elapsed_ms=_number(headers, "X-AnySR-Elapsed-Ms"),
    )


@dataclass(frozen=True)
class Summary:
    """A run in figures. Parts are of all requests."""

    requests: int
    seconds: float
    attainment: float
    """Answered with a picture within the budget, by the client's clock."""
    admitted_attainment: float
    """The same, of those that were not refused (422, 429, 503)."""
    goodput: float
    """Pictures in time per second."""
    refused: float
    failed: float
    """No answer, or an error that is not a refusal."""
    mean_db: float | None
    """Expected PSNR-Y of the pictures in time, where the service says it; resampled ones count
    with what resampling reaches."""
    latency_ms: dict[str, float]
    """Percentiles over the pictures."""
    broken_promises: float
    """Of the answers that said `met`, the part that the client saw late."""
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
    promised = [s for s in pictures if s.said_met]
    quality = [s.db for s in met if s.db is not None]
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
        latency_ms={f"p{p}": float(np.percentile(latencies, p)) for p in (50, 90, 99)},
        broken_promises=sum(not s.met for s in promised) / max(1, len(promised)),
        sent_late_p99_ms=float(np.percentile([s.sent_late_ms for s in samples], 99)),
        statuses=dict(Counter(str(s.status) for s in samples)),
        rungs=_shares([f"{s.model}@{s.width:g}" for s in pictures]),
        reasons=_shares([s.reason for s in pictures]),
    )


def _shares(names: Sequence[str]) -> dict[str, float]:
    return {name: n / len(names) for name, n in sorted(Counter(names).items())}


def _number(headers: Mapping[str, str], name: str) -> float | None:
    return float(headers[name]) if name in headers else None


def _db(headers: Mapping[str, str], kind: Kind) -> float | None:
    """Return what a network or resampling reaches in the mean over photographs, as the simulator
    counts; of a network that is not shipped, what the service expects of this picture."""
    if headers.get("X-AnySR-Reason") == Reason.FLOOR:
        return round(resampled_db(kind.scale), 2)
    model, width = headers.get("X-AnySR-Model"), _number(headers, "X-AnySR-Width")
    if model is not None and width is not None and model in _shipped().names:
        return _shipped().get(model).expected_db(width, kind.scale)
    return _number(headers, "X-AnySR-Expected-Db")


@lru_cache(1)
def _shipped() -> Catalog:
    """Return the shipped catalog."""
    return read_catalog()


def _said(headers: Mapping[str, str]) -> bool | None:
    said = headers.get("X-AnySR-Deadline")
    return None if said is None else said == "met"
