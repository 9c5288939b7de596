"""The promises of the queue, each a rule over a history alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.nemesis.faults import ON_WORKER, Kind
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.observing import ENDS
from benchmarks.nemesis.promise import allowed_s
from benchmarks.nemesis.story import JobStory, Story, jobs_by_mark, story_of

KEPT_S = 100.0
"""A picture can be fetched for at least this long after its job's end."""
BUGS = frozenset({"internal_error", "500", "502"})
"""Answers that tell a caller nothing."""
NO_DELIVERY_FAULT = frozenset(Kind) - {Kind.WORKER_KILL, Kind.WORKER_STOP}
"""Faults after which a webhook may come again."""
LASTING = (
    "pulses",
    "profiles",
    "live-workers",
    "job:",
    "result:",
    "idempotency:",
    "link:",
    "cached",
)
"""Keys that expire."""
BEFORE_S, AFTER_S = 3.0, 20.0
"""A fault works on: connections come back, a lease runs out, a delivery is sent again."""


class Broken(StrEnum):
    """Promises."""

    LOST = "lost"
    DOUBLED = "doubled"
    FOREIGN = "foreign"
    AFTER_CANCEL = "after a cancel"
    UNCLEAR = "unclear error"
    LATE = "later than promised"
    LEFT = "left over"
    DIED = "died by itself"


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept."""

    at: float
    """Seconds since the start."""
    broken: Broken
    text: str

    def __str__(self) -> str:
        return f"{self.at:.2f} s: {self.broken}: {self.text}"


Found = Iterator[Violation]


def violations(events: Iterable[Event]) -> list[Violation]:
    """Return all violations in a history, in order."""
    story = story_of(events)
    found = [violation for rule in RULES for violation in rule(story)]
    for job in story.jobs.values():
        found += [violation for own_rule in OWN_RULES for violation in own_rule(job)]
        found += [violation for job_rule in JOB_RULES for violation in job_rule(story, job)]
    return sorted(found, key=lambda violation: violation.at)


def _one_job_a_key(story: Story) -> Found:
    for mark, jobs in jobs_by_mark(story).items():
        if len(jobs) > 1:
            last = max(e.at for e in story.of(What.ACCEPTED) if e.mark == mark)
            yield Violation(last, Broken.DOUBLED, f"one key, several jobs: {sorted(jobs)}")


def _own_pictures(story: Story) -> Found:
    for event in story.of(What.PICTURE):
        if event.found != event.mark:
            text = f"{event.job}: sent {event.mark}, got {event.found} ({event.via})"
            yield Violation(event.at, Broken.FOREIGN, text)


def _clear_answers(story: Story) -> Found:
    for event in story.of(What.REFUSED, What.STATE):
        if event.code in BUGS:
            about = event.job or f"picture {event.mark}"
            yield Violation(event.at, Broken.UNCLEAR, f"{about}: {event.code} ({event.via})")


def _no_deaths(story: Story) -> Found:
    for event in story.of(What.DIED):
        yield Violation(event.at, Broken.DIED, event.text or "")


def _nothing_left(story: Story) -> Found:
    for event in story.of(What.MEMBER):
        yield Violation(event.at, Broken.LEFT, f"{event.job} in {event.text}")
    for event in story.of(What.KEY):
        name = (event.text or "").partition(":")[2]
        endless = event.until is not None and event.until < 0
        if name.startswith("payload:") or (endless and name.startswith(LASTING)):
            yield Violation(event.at, Broken.LEFT, f"{event.text} for {event.until:g} s")


def _has_ended(job: JobStory) -> Found:
    if job.accepted and not any(s.status in ENDS for s in job.states if s.via == "audit"):
        at = job.states[-1].at if job.states else 0.0
        last = job.states[-1].status if job.states else "never seen"
        yield Violation(at, Broken.LOST, f"{job.id} has not ended: {last}")


def _one_end(job: JobStory) -> Found:
    """Whoever asks after an end has been seen sees the same end."""
    if job.end is None:
        return
    facts = _facts(job.end)
    for state in job.states:
        asked = state.at if state.since is None else state.since
        later = state.via != "events" and asked >= job.end.at
        differs = state.status in ENDS and _facts(state) != facts
        if differs or (later and state.status not in ENDS):
            cancelled = job.end.status == "cancelled"
            broken = Broken.AFTER_CANCEL if cancelled else Broken.DOUBLED
            text = f"{job.id} ended as {facts}, and was then {_facts(state)} ({state.via})"
            yield Violation(state.at, broken, text)


def _facts(state: Event) -> tuple[str | None, str | None, float | None]:
    return state.status, state.code, state.finished_ms


def _cancelled(job: JobStory) -> Found:
    """A withdrawn job has ended with the answer, and gives no picture if it was withdrawn."""
    for state in job.states:
        if state.via == "cancel" and state.status not in ENDS:
            text = f"{job.id} was withdrawn, and is {state.status}"
            yield Violation(state.at, Broken.AFTER_CANCEL, text)
    if job.end is not None and job.end.status == "cancelled":
        for picture in job.pictures:
            text = f"{job.id} gave a picture"
            yield Violation(picture.at, Broken.AFTER_CANCEL, text)


def _picture_is_there(story: Story, job: JobStory) -> Found:
    if job.end is None or job.end.status != "succeeded" or job.end.finished_ms is None:
        return
    until = story.moment(job.end.finished_ms) + KEPT_S
    for refusal in job.refusals:
        asked = refusal.at if refusal.since is None else refusal.since
        if job.end.at <= asked <= until and refusal.via != "answer":
            text = f"{job.id} has succeeded, and its picture is {refusal.code}"
            yield Violation(refusal.at, Broken.LOST, text)


def _announced(story: Story, job: JobStory) -> Found:
    if not job.hook:
        return
    if not job.webhooks:
        at = job.end.at if job.end else 0.0
        yield Violation(at, Broken.LOST, f"the webhook of {job.id}")
    again = job.webhooks[1:]
    if again:
        first = job.webhooks[0].at
        faults = story.faults_in(first - AFTER_S, again[-1].at)
        if not any(fault.kind in NO_DELIVERY_FAULT for fault in faults):
            yield Violation(again[0].at, Broken.DOUBLED, f"the webhook of {job.id}, undisturbed")


def _claimed_for_a_reason(story: Story, job: JobStory) -> Found:
    """A job is run again only after a fault that may have ended its lease."""
    end = job.end
    if not job.claims or end is None or end.submitted_ms is None or end.finished_ms is None:
        return
    first, last = story.moment(end.submitted_ms), story.moment(end.finished_ms)
    faults = sum(_costs_a_lease(fault.kind) for fault in story.faults_in(first - BEFORE_S, last))
    if job.claims > 1 + faults:
        text = f"{job.id} was claimed {job.claims} times, with {faults} faults meanwhile"
        yield Violation(end.at, Broken.DOUBLED, text)


def _costs_a_lease(kind: Kind) -> bool:
    return kind in ON_WORKER or kind not in (Kind.GATEWAY_KILL, Kind.GATEWAY_STOP)


def _in_time(story: Story, job: JobStory) -> Found:
    end = job.end
    if end is None or None in (end.submitted_ms, end.deadline_ms, end.finished_ms):
        return
    first, last = (story.moment(ms or 0.0) for ms in (end.submitted_ms, end.finished_ms))
    late_s = last - story.moment(end.deadline_ms or 0.0)
    faults = story.faults_in(first - BEFORE_S - AFTER_S, last)
    allowed = allowed_s((fault.kind, fault.until - fault.at) for fault in faults)
    if late_s > allowed:
        text = f"{job.id} ended {late_s:.1f} s after its deadline; at most {allowed:.1f} s"
        yield Violation(end.at, Broken.LATE, text)


RULES: tuple[Callable[[Story], Found], ...] = (
    *(_one_job_a_key, _own_pictures, _clear_answers, _no_deaths, _nothing_left),
)
OWN_RULES: tuple[Callable[[JobStory], Found], ...] = (_has_ended, _one_end, _cancelled)
"""Rules over one job, whatever was done to the service."""
JOB_RULES: tuple[Callable[[Story, JobStory], Found], ...] = (
    *(_picture_is_there, _announced, _claimed_for_a_reason, _in_time),
)
