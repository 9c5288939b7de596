"""The service's own choice of width beside fixed networks, on one trace and one running service.

A rival pins its network and accepts nothing else, late or resampled. Its jobs pass the same queue:
refused where they could not be in time, run by latest start, which for one network of one width is
the order of deadlines, and dropped once they are too late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks.load import AnysrEndpoint, Sample, send
from jobs.job import OnMiss
from scheduling.rungs import Rung
from scheduling.simulation.workload import Workload

OURS = "ours"


def strategies_of(rungs: Sequence[Rung]) -> dict[str, Mapping[str, str]]:
    """Return the request parameters of each strategy, by name: the service's own first."""
    return {OURS: {}, **{rung.key: pinned(rung) for rung in rungs}}


def pinned(rung: Rung) -> Mapping[str, str]:
    """Return the request parameters that accept a picture of this rung and nothing else."""
    reject = OnMiss.REJECT.value
    return {"model": rung.model, "anysr_width": f"{rung.width:g}", "on_miss": reject}


async def compare(
    url: str,
    workload: Workload,
    rungs: Sequence[Rung],
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, list[Sample]]:
    """Send a workload in real time, once by each strategy; return the samples by its name."""
    found: dict[str, list[Sample]] = {}
    for name, parameters in strategies_of(rungs).items():
        onward = _after(len(found) * len(workload), report)
        found[name] = await send(url, workload, AnysrEndpoint(parameters), onward)
    return found


def _after(before: int, report: Callable[[int], None]) -> Callable[[int], None]:
    """Return a report that counts what was sent before as well."""
    return lambda done: report(before + done)
