"""What a run counts, and what it found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.nemesis.checker import Violation, violations
from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.story import JobStory, Story, story_of

UNDISTURBED = "no fault"
STILL = {Kind.STALL.value}


@dataclass(frozen=True)
class Punctuality:
    """How the jobs kept their budgets in whose time a kind of fault fell."""

    jobs: int
    """Those that ended with a picture, or as too late."""
    met: int
    """Of those, pictures by their deadline."""
    latest_s: float
    """Of the last one to end, seconds after its deadline."""


@dataclass(frozen=True)
class Summary:
    """Counts of one run."""

    seed: int
    minutes: float
    faults: dict[str, int]
    """By kind."""
    in_hand: dict[str, int]
    """Of those, how many met a worker with a job; of aimed ones, how many came as they say."""
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
    punctuality: dict[str, Punctuality]
    """By kind of fault; a job counts for each that fell in its time, for a standstill alone, or for
    `UNDISTURBED`."""
    noticed_s: float | None
    """Seconds from the start until the first broken promise was seen, while the run went on;
    without those in which everything stood still."""
    found: tuple[Violation, ...]

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return not self.found

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        members = asdict(self)
        return {**members, "found": [str(violation) for violation in self.found]}


def summarise(
    seed: int, minutes: float, events: Sequence[Event], *, settled: bool = True
) -> Summary:
    """Count and check a history; `settled` as in `checker.violations`."""
    story = story_of(events)
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
        sum(_is_met(job.end) for job in accepted) / max(1, len(accepted)),
        _punctuality(story, accepted),
        _noticed_s(story),
        tuple(violations(events, settled=settled)),
    )


def _noticed_s(story: Story) -> float | None:
    first = next(story.of(What.NOTICED), None)
    if first is None:
        return None
    stalls = [f for f in story.faults if f.kind is Kind.STALL and f.until <= first.at]
    return first.at - sum(stall.until - stall.at for stall in stalls)


def _end_of(end: Event | None) -> str:
    if end is None:
        return "none"
    return end.code or str(end.status) if end.status == "failed" else str(end.status)


def _is_met(end: Event | None) -> bool:
    return end is not None and end.status == "succeeded" and _late_s(end) <= 0.0


def _late_s(end: Event) -> float:
    return ((end.finished_ms or 0.0) - (end.deadline_ms or 0.0)) / 1e3


def _punctuality(story: Story, jobs: Iterable[JobStory]) -> dict[str, Punctuality]:
    ends: dict[str, list[Event]] = defaultdict(list)
    for job in jobs:
        if job.end is None or _end_of(job.end) not in ("succeeded", "deadline_exceeded"):
            continue
        first, last = (
            story.moment(ms or 0.0) for ms in (job.end.submitted_ms, job.end.finished_ms)
        )
        kinds = {fault.kind.value for fault in story.faults_in(first, last)} or {UNDISTURBED}
        for kind in STILL & kinds or kinds:  # what stands still is late by itself
            ends[kind].append(job.end)
    return {
        kind: Punctuality(len(of), sum(map(_is_met, of)), max(map(_late_s, of)))
        for kind, of in sorted(ends.items())
    }
