"""A run that is suspended between two tiles, as work that waits for its worker."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.backlog import Backlog, Group


@dataclass(frozen=True)
class SuspendedRun:
    """A run that is suspended between two tiles, or goes on beside another: work that waits for
    this worker."""

    end_ms: float
    """When the queue expects it to end, on the queue's clock."""
    spare_ms: float
    """How long it can be suspended and still meet its deadline."""
    cheapest_ms: float
    """Predicted cost of the rest at its narrowest width, with a margin."""
    expected_ms: float
    """The same without the margin."""
    held_bytes: int
    """Most memory that it holds meanwhile; not known of one that goes on."""
    goes_on: bool = False
    """Whether it is decoded or encoded meanwhile."""
    before: SuspendedRun | None = None
    """The run that this one had preempted itself."""

    @property
    def depth(self) -> int:
        """How many runs of this worker have been begun, and not ended."""
        return 1 + (self.before.depth if self.before is not None else 0)

    def waiting_in(self, backlog: Backlog) -> Backlog:
        """Return the backlog with this picture among the jobs that wait, not among the runs, and
        with the one before it."""
        if self.before is not None:
            backlog = self.before.waiting_in(backlog)
        running = list(backlog.running)
        if running:
            running.remove(min(running, key=lambda end: abs(end - self.end_ms)))
        start_ms, cheapest_ms = backlog.now_ms + self.spare_ms, self.cheapest_ms
        rest = Group(start_ms, cheapest_ms, self.expected_ms, last_ms=cheapest_ms)
        waiting = tuple(sorted((*backlog.waiting, rest)))
        return replace(backlog, running=tuple(running), waiting=waiting)
