"""The promises of the queue, each a rule over a history alone.

Some are seen broken as soon as it happens, while the run goes on; others only once all is settled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.nemesis.faults import AIMED, ON_GATEWAY, ON_WORKER, Kind
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.observing import ENDS
from benchmarks.nemesis.promise import MOST_RUNS, allowed_s
from benchmarks.nemesis.story import JobStory, Story, story_of
from jobs.redis_blobs import UNACCEPTED_S

KEPT_S = 100.0
"""A picture can be fetched for at least this long after its job's end."""
GIVEN_UP = "worker_lost"
BUGS = frozenset({"internal_error", "500", "502"})
"""Answers that tell a caller nothing."""
NO_DELIVERY_FAULT = frozenset(Kind) - ON_WORKER - AIMED
"""Faults after which a webhook may come again."""
LASTING = (
    "worker-states",
    "worker-profiles",
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


def violations(events: Iterable[Event], *, settled: bool = True) -> list[Violation]:
    """Return all violations in a history, in order; without those that show only once all is
    settled, where the run did not come to that."""
    story = story_of(events)
    found = [v for event in story.events for v in broken_by(story, event)]
    found += [v for job in story.jobs.values() for v in broken_in(story, job)]
    if settled:
        found += [v for rule in RULES_AT_THE_END for v in rule(story)]
    return sorted(found, key=lambda violation: violation.at)


def broken_by(story: Story, event: Event) -> list[Violation]:
    """Return what an event breaks by itself, whatever comes after it."""
    return [violation for rule in EVENT_RULES for violation in rule(story, event)]


def broken_in(story: Story, job: JobStory) -> list[Violation]:
    """Return what was broken in a job, whatever comes after what is known of it."""
    return [violation for rule in JOB_RULES for violation in rule(story, job)]


def _one_job_a_key(story: Story, event: Event) -> Found:
    if event.what is What.ACCEPTED and event.mark is not None:
        first = story.first_jobs[event.mark]
        if event.job != first:
            yield Violation(event.at, Broken.DOUBLED, f"one key, two jobs: {first}, {event.job}")


def _own_pictures(_: Story, event: Event) -> Found:
    if event.what is What.PICTURE and event.found != event.mark:
        text = f"{event.job}: sent {event.mark}, got {event.found} ({event.via})"
        yield Violation(event.at, Broken.FOREIGN, text)


def _clear_answers(_: Story, event: Event) -> Found:
    if event.what in (What.REFUSED, What.STATE) and event.code in BUGS:
        about = event.job or f"picture {event.mark}"
        yield Violation(event.at, Broken.UNCLEAR, f"{about}: {event.code} ({event.via})")


def _no_deaths(_: Story, event: Event) -> Found:
    if event.what is What.DIED:
        yield Violation(event.at, Broken.DIED, event.text or "")


def _nothing_left(story: Story) -> Found:
    for event in story.of(What.MEMBER):
        yield Violation(event.at, Broken.LEFT, f"{event.job} in {event.text}")
    for event in story.of(What.KEY):
        name = (event.text or "").partition(":")[2]
        left_s = math.inf if event.until is None or event.until < 0 else event.until
        upload = name.startswith("payload:") and left_s > UNACCEPTED_S
        if upload or (left_s == math.inf and name.startswith(LASTING)):
            yield Violation(event.at, Broken.LEFT, f"{event.text} for {event.until:g} s")


def _all_have_ended(story: Story) -> Found:
    for job in story.jobs.values():
        if job.accepted and not any(s.status in ENDS for s in job.states if s.via == "audit"):
            at = job.states[-1].at if job.states else 0.0
            last = job.states[-1].status if job.states else "never seen"
            yield Violation(at, Broken.LOST, f"{job.id} has not ended: {last}")


def _one_end(_: Story, job: JobStory) -> Found:
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


def _facts(state: Event) -> tuple[str | None, str | None, float | None, float | None]:
    return state.status, state.code, state.finished_ms, state.run_ms


def _cancelled(_: Story, job: JobStory) -> Found:
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


def _all_are_announced(story: Story) -> Found:
    for job in story.jobs.values():
        if job.hook and not job.webhooks:
            at = job.end.at if job.end else 0.0
            yield Violation(at, Broken.LOST, f"the webhook of {job.id}")


def _announced_once(story: Story, job: JobStory) -> Found:
    again = job.webhooks[1:] if job.hook else ()
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


def _given_up_for_a_reason(_: Story, job: JobStory) -> Found:
    if job.end is not None and job.end.code == GIVEN_UP and job.claims in range(MOST_RUNS):
        text = f"{job.id} was given up after {job.claims} runs"
        yield Violation(job.end.at, Broken.LOST, text)


def _costs_a_lease(kind: Kind) -> bool:
    return kind not in ON_GATEWAY


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


EVENT_RULES: tuple[Callable[[Story, Event], Found], ...] = (
    *(_one_job_a_key, _own_pictures, _clear_answers, _no_deaths),
)
JOB_RULES: tuple[Callable[[Story, JobStory], Found], ...] = (
    *(_one_end, _cancelled, _picture_is_there, _announced_once, _in_time),
    *(_claimed_for_a_reason, _given_up_for_a_reason),
)
RULES_AT_THE_END: tuple[Callable[[Story], Found], ...] = (
    *(_all_have_ended, _all_are_announced, _nothing_left),
)
