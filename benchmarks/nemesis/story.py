"""A history by jobs: of a run that goes on, or of one that has ended."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.observing import ENDS


@dataclass(frozen=True)
class Span:
    """A fault of a history, in seconds since the start."""

    kind: Kind
    at: float
    until: float
    """Infinite while it goes on."""
    in_hand: bool
    """Whether it met a worker with a job; an aimed one, whether it came as its kind says."""


@dataclass
class JobStory:
    """What was seen of one job, in order."""

    id: str
    mark: int | None = None
    accepted: bool = False
    hook: bool = False
    states: list[Event] = field(default_factory=list)
    pictures: list[Event] = field(default_factory=list)
    refusals: list[Event] = field(default_factory=list)
    """Errors in place of its picture."""
    claims: int | None = None

    @property
    def end(self) -> Event | None:
        """The first state in which it had ended."""
        return next((state for state in self.states if state.status in ENDS), None)

    @property
    def webhooks(self) -> Sequence[Event]:
        """The announcements of its end."""
        return [state for state in self.states if state.via == "webhook"]


class Story:
    """A history, which events are added to in their order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.jobs: dict[str, JobStory] = {}
        self.first_jobs: dict[int, str] = {}
        """The job that was first accepted for each picture."""
        self._spans: dict[tuple[str, float], Span] = {}
        self._began_ms = 0.0

    @property
    def faults(self) -> Sequence[Span]:
        """All faults, those that go on included."""
        return list(self._spans.values())

    def add(self, event: Event) -> None:
        """Add the next event."""
        self.events.append(event)
        match event.what:
            case What.BEGIN:
                self._began_ms = event.wall_ms or 0.0
            case What.STRUCK | What.FAULT:
                span = _span(event)
                self._spans[span.kind, span.at] = span
            case What.MEMBER:
                pass
            case _ if event.job is not None:
                _add(self.jobs.setdefault(event.job, JobStory(event.job)), event)
        if event.what is What.ACCEPTED and event.mark is not None and event.job is not None:
            self.first_jobs.setdefault(event.mark, event.job)

    def moment(self, queue_ms: float) -> float:
        """Return a moment of the queue's clock in seconds since the start."""
        return (queue_ms - self._began_ms) / 1e3

    def faults_in(self, first: float, last: float) -> Iterator[Span]:
        """Yield the faults that touch an interval."""
        return (fault for fault in self.faults if fault.at <= last and fault.until >= first)

    def of(self, *kinds: What) -> Iterator[Event]:
        """Yield the events of these kinds."""
        return (event for event in self.events if event.what in kinds)


def story_of(events: Iterable[Event]) -> Story:
    """Return the story of a history, whose lines may be in another order than their moments."""
    story = Story()
    for event in sorted(events, key=lambda event: event.at):
        story.add(event)
    return story


def _add(job: JobStory, event: Event) -> None:
    job.mark = job.mark if event.mark is None else event.mark
    match event.what:
        case What.ACCEPTED:
            job.accepted = True
            job.hook = job.hook or event.hook
        case What.STATE:
            job.states.append(event)
        case What.PICTURE:
            job.pictures.append(event)
        case What.NO_PICTURE:
            job.refusals.append(event)
        case What.RECORD:
            job.claims = event.count
        case _:
            pass


def _span(event: Event) -> Span:
    until = math.inf if event.until is None else event.until
    return Span(Kind(event.text or ""), event.at, until, bool(event.count))
