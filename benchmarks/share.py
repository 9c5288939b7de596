"""What a client that floods a real service costs another one.

Two clients of equal share: one sends at `rate`, alone at first, then the same requests beside the
other, which sends `flood` times as much and ignores every refusal. The load generator shares the
machine with the service; `Times.sent_late_ms` says how much later than due it sent.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

from benchmarks.load import Answer, AnysrEndpoint, Sample, Summary, send, summarise
from benchmarks.local_service import running_service
from scheduling.simulation.workload import ARRIVALS, Kind, Workload, draw
from service.access.tokens import Token, digest_of, new_token

SETTLING_S = 5.0
"""Requests of this first time warm the service up, and do not count."""


class KeyedEndpoint(AnysrEndpoint):
    """`POST /upscale` with a client's key."""

    def __init__(self, key: str) -> None:
        super().__init__({})
        self._key = key

    def post(self, client: aiohttp.ClientSession, kind: Kind, budget_ms: float) -> Answer:
        # The session is this endpoint's alone.
        client.headers["Authorization"] = f"Bearer {self._key}"
        return super().post(client, kind, budget_ms)


@dataclass(frozen=True)
class Times:
    """The 95th percentile of each part of the latency, in ms; all requests count, refused ones as
    answered without a run."""

    latency_ms: float
    sent_late_ms: float
    queue_ms: float
    yielded_ms: float
    """Pauses of the run for other jobs."""
    run_ms: float
    rest_ms: float
    """Gateway, connection and client."""

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Times:
        """Return the times of some samples, at least one."""
        parts = [_parts(sample) for sample in samples]
        return cls(*np.percentile(parts, 95, axis=0).tolist())


def _parts(sample: Sample) -> tuple[float, ...]:
    stages = sample.queue_ms or 0.0, sample.yielded_ms or 0.0, sample.run_ms or 0.0
    late_ms = max(0.0, sample.sent_late_ms)
    rest_ms = sample.latency_ms - late_ms - sum(stages)
    return sample.latency_ms, late_ms, *stages, rest_ms


@dataclass(frozen=True)
class Fared:
    """How one client fared."""

    summary: Summary
    times: Times

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Fared:
        """Return how the requests after the first `SETTLING_S` fared, at least one."""
        counted = [sample for sample in samples if sample.at_ms >= 1e3 * SETTLING_S]
        return cls(summarise(counted), Times.of(counted))


@dataclass(frozen=True)
class Report:
    """How the client fared alone and beside the flood, and how the flood did."""

    alone: Fared
    beside: Fared
    flood: Fared


def run(
    seconds: float,
    rate: float,
    flood: float,
    workers: int,
    arrivals: str,
    seed: int,
    progress: Callable[[int], None],
) -> Report:
    """Start a service with two clients, and measure `seconds` of the first alone and as many beside
    the other. `rate` is in requests a second. `progress` gets the number of answered requests of
    the first client. Raises the errors of `running_service`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.toml"
        tokens = {"shop": new_token(), "flood": new_token()}
        path.write_text("".join(_client(name, token) for name, token in tokens.items()))
        shop, other = (KeyedEndpoint(str(token)) for token in tokens.values())
        own = _workload(seconds + SETTLING_S, rate, arrivals, seed)
        many = _workload(seconds + SETTLING_S, rate * flood, arrivals, seed + 1)
        with running_service(workers, ANYSR_KEYS=str(path)) as url:
            alone = asyncio.run(send(url, own, shop, progress))
            beside, others = asyncio.run(_both(url, (own, shop), (many, other), progress))
    return Report(Fared.of(alone), Fared.of(beside), Fared.of(others))


async def _both(
    url: str,
    one: tuple[Workload, KeyedEndpoint],
    other: tuple[Workload, KeyedEndpoint],
    progress: Callable[[int], None],
) -> tuple[list[Sample], list[Sample]]:
    return await asyncio.gather(send(url, *one, progress), send(url, *other))


def _client(name: str, token: Token) -> str:
    """Return a client's entry in a file of keys."""
    digest = digest_of(token.secret).hex()
    return f'[[clients.{name}.keys]]\nid = "{token.id}"\nsha256 = "{digest}"\n'


def _workload(seconds: float, rate: float, arrivals: str, seed: int) -> Workload:
    return draw(max(1, round(seconds * rate)), rate, ARRIVALS[arrivals], seed=seed)
