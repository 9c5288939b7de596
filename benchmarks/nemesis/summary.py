"""What a run counts, and what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.nemesis.checker import Violation, violations
from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.story import Story, told


@dataclass(frozen=True)
class Summary:
    """Counts of one run."""

    seed: int
    minutes: float
    faults: dict[str, int]
    """By kind."""
    in_hand: dict[str, int]
    """Of those, how many met a worker with a job."""
    jobs: int
    """Accepted ones."""
    ends: dict[str, int]
    """By status, failed ones by code."""
    pictures: int
    webhooks: int
    again: int
    """Claims beyond the first of a job."""
    met: float
    """Part of the jobs that have succeeded by their deadline."""
    found: tuple[Violation, ...]

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return not self.found

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**vars(self), "found": [str(violation) for violation in self.found]}


def summarise(seed: int, minutes: float, events: Sequence[Event]) -> Summary:
    """Count and check a history."""
    story = told(events)
    faults = Counter(fault.kind.value for fault in story.faults)
    in_hand = Counter(fault.kind.value for fault in story.faults if fault.in_hand)
    accepted = [job for job in story.jobs.values() if job.accepted]
    ends = Counter(_end_of(job.end) for job in accepted)
    return Summary(
        *(seed, minutes),
        {kind.value: faults[kind.value] for kind in Kind},
        dict(in_hand),
        len(accepted),
        dict(sorted(ends.items())),
        sum(1 for _ in story.of(What.PICTURE)),
        sum(len(job.webhooks) for job in accepted),
        sum(max(0, (job.claims or 0) - 1) for job in accepted),
        _met(story) / max(1, len(accepted)),
        tuple(violations(events)),
    )


def _end_of(end: Event | None) -> str:
    if end is None:
        return "none"
    return end.code or str(end.status) if end.status == "failed" else str(end.status)


def _met(story: Story) -> int:
    ends = [job.end for job in story.jobs.values() if job.accepted]
    return sum(
        end is not None
        and end.status == "succeeded"
        and (end.finished_ms or 0.0) <= (end.deadline_ms or 0.0)
        for end in ends
    )
