"""A history by jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.observing import ENDS


@dataclass(frozen=True)
class Span:
    """A fault of a history, in seconds since the start."""

    kind: Kind
    at: float
    until: float
    in_hand: bool
    """Whether it met a worker with a job."""


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

    @cached_property
    def end(self) -> Event | None:
        """The first state in which it had ended."""
        return next((state for state in self.states if state.status in ENDS), None)

    @property
    def webhooks(self) -> Sequence[Event]:
        """The announcements of its end."""
        return [state for state in self.states if state.via == "webhook"]


@dataclass(frozen=True)
class Story:
    """A history."""

    events: Sequence[Event]
    jobs: dict[str, JobStory]
    faults: Sequence[Span]
    began_ms: float

    def moment(self, queue_ms: float) -> float:
        """Return a moment of the queue's clock in seconds since the start."""
        return (queue_ms - self.began_ms) / 1e3

    def faults_in(self, first: float, last: float) -> Iterator[Span]:
        """Yield the faults that touch an interval."""
        return (fault for fault in self.faults if fault.at <= last and fault.until >= first)

    def of(self, *kinds: What) -> Iterator[Event]:
        """Yield the events of these kinds."""
        return (event for event in self.events if event.what in kinds)


def story_of(events: Iterable[Event]) -> Story:
    """Return the story of a history."""
    listed = sorted(events, key=lambda event: event.at)
    jobs: dict[str, JobStory] = {}
    for event in listed:
        if event.job is not None and event.what is not What.MEMBER:
            _add(jobs.setdefault(event.job, JobStory(event.job)), event)
    faults = [_span(event) for event in listed if event.what is What.FAULT]
    began_ms = next((e.wall_ms for e in listed if e.what is What.BEGIN), None) or 0.0
    return Story(listed, jobs, faults, began_ms)


def jobs_by_mark(story: Story) -> dict[int, set[str]]:
    """Return the ids of the jobs that were accepted for each picture."""
    found: dict[int, set[str]] = defaultdict(set)
    for event in story.of(What.ACCEPTED):
        if event.mark is not None and event.job is not None:
            found[event.mark].add(event.job)
    return found


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
    until = event.at if event.until is None else event.until
    return Span(Kind(event.text or ""), event.at, until, bool(event.count))
