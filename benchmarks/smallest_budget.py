"""Whether the smallest feasible budget, as a refusal names it, is kept on an idle service."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import numpy as np

from benchmarks.pictures import draw_jpeg
from scheduling.simulation.workload import MIXED

PAUSE_S = 0.05
"""Pause between tries, so that the service is idle again."""


@dataclass(frozen=True)
class Promise:
    """Outcome of budgets that are too small, each followed by the smallest feasible one."""

    tries: int
    refused_ms: tuple[float, float]
    """Median and largest time of a refusal, by the client's clock."""
    kept: float
    """Part of the answers to the smallest budget that were in time, by the service's clock."""
    pictures: float
    """Part of these answers with a picture."""


def keep_promises(
    url: str, tries: int = 100, report: Callable[[int], None] = lambda done: None
) -> Promise:
    """Send a budget of 1 ms, with on_miss=reject so that resampling is no option, then the
    smallest budget that the refusal names. Raises RuntimeError when 1 ms is not refused."""
    refused: list[float] = []
    met = pictures = 0
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(tries):
            kind, _ = MIXED[number % len(MIXED)]
            picture = draw_jpeg(kind.width, kind.height)
            parameters = {"scale": str(kind.scale), "on_miss": "reject"}
            since = time.perf_counter()
            refusal = client.post(
                "/upscale", params=parameters | {"latency_budget_ms": "1"}, content=picture
            )
            refused.append(1e3 * (time.perf_counter() - since))
            if refusal.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
                raise RuntimeError(f"1 ms was not refused; the answer was {refusal.status_code}")
            smallest = str(refusal.json()["smallest_feasible_ms"])
            answer = client.post(
                "/upscale", params=parameters | {"latency_budget_ms": smallest}, content=picture
            )
            pictures += answer.status_code == httpx.codes.OK
            met += answer.headers.get("X-AnySR-Deadline") == "met"
            report(number + 1)
            time.sleep(PAUSE_S)
    return Promise(
        tries,
        (float(np.median(refused)), float(np.max(refused))),
        met / tries,
        pictures / tries,
    )
