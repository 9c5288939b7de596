"""How much of the mixed load a service serves by one network alone: the unit of a trace's load."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from benchmarks.load import AnysrEndpoint, send
from benchmarks.rivals import pinned
from scheduling.rungs import Rung
from scheduling.simulation.workload import closed_loop

BUDGET_MS = 60_000.0
"""Never the reason why a picture is refused."""
WARM_UP = 1 / 4
"""Part of the requests that is sent before those that count: the first ones load the network."""


async def served_rate(
    url: str,
    rung: Rung,
    callers: int,
    requests: int,
    report: Callable[[int], None] = lambda done: None,
) -> float:
    """Return the requests a second that a service answers by a rung alone, to callers of whom each
    waits for its answer.

    Raises RuntimeError if one of them is answered without a picture, ValueError for fewer than
    four.
    """
    if requests < 4:
        raise ValueError(f"a rate needs at least 4 requests, not {requests}")
    budgets = (BUDGET_MS, BUDGET_MS)
    workload = closed_loop(requests, callers, 0.0, budgets_ms=budgets)
    samples = await send(url, workload, AnysrEndpoint(pinned(rung)), report)
    failed = [s.status for s in samples if s.status != HTTPStatus.OK]
    if failed:
        raise RuntimeError(f"the service answered {failed[0]} to a picture for {rung.key}")
    ends = sorted(s.at_ms + s.latency_ms for s in samples)
    warm_up = int(WARM_UP * requests)
    return (requests - warm_up) / (ends[-1] - ends[warm_up - 1]) * 1e3
