"""Workers that get no core: where a machine has more to do than cores, a lease may run out so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Recorder, What
from benchmarks.nemesis.processes import Kept

WINDOW_S = 1.0
STARVED = 0.6
"""Part of a window for which a worker's event loop was ready to run and did not: it then renews no
lease for about as long as one lasts."""


async def record_starving(workers: Sequence[Kept], recorder: Recorder) -> None:
    """Record as a fault each window in which a worker starved, until cancelled."""
    last, before = recorder.now(), waits_s(workers)
    while True:
        await asyncio.sleep(WINDOW_S)
        now, after = recorder.now(), waits_s(workers)
        waited_s = (wait_s - before.get(pid, wait_s) for pid, wait_s in after.items())
        if max(waited_s, default=0.0) > STARVED * WINDOW_S:
            recorder.add(What.FAULT, at=last, until=now, text=Kind.STARVED.value)
        last, before = now, after


def waits_s(workers: Sequence[Kept]) -> dict[int, float]:
    """Return for how many seconds the event loop of each worker has waited for a core in all, by
    its process (proc(5), schedstat); without those that have ended."""
    found: dict[int, float] = {}
    for pid in (worker.pid for worker in workers):
        with contextlib.suppress(OSError, ValueError, IndexError):
            found[pid] = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return found
