"""A run that is suspended between two tiles, as work that waits for its worker."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.backlog import Backlog, Group


@dataclass(frozen=True)
class SuspendedRun:
    """What a suspended run still needs, and how long it can wait."""

    end_ms: float
    """When the queue expects it to end, on the queue's clock."""
    spare_ms: float
    """How long it can be suspended and still meet its deadline."""
    cheapest_ms: float
    """Predicted cost of the rest at its narrowest width, with a margin."""
    expected_ms: float
    """The same without the margin."""
    held_bytes: int
    """Most memory that it holds meanwhile."""

    def waiting_in(self, backlog: Backlog) -> Backlog:
        """Return the backlog with this picture among the jobs that wait, not among the runs."""
        running = list(backlog.running)
        if running:
            running.remove(min(running, key=lambda end: abs(end - self.end_ms)))
        rest = Group(backlog.now_ms + self.spare_ms, self.cheapest_ms, self.expected_ms)
        waiting = tuple(sorted((*backlog.waiting, rest)))
        return replace(backlog, running=tuple(running), waiting=waiting)
