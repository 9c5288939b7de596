"""A history that grows: what is broken is seen once, as soon as the history shows it."""

from __future__ import annotations

from benchmarks.nemesis.checker import Broken
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.watching import Watch

JOB = "job-1"


def heard(watched: Watch, *events: Event) -> list[Broken]:
    for event in events:
        watched.hear(event)
    return [violation.broken for violation in watched.look()]


def test_each_violation_is_seen_once_and_when_it_happens() -> None:
    watched = Watch()
    ended = Event(What.STATE, 2.0, job=JOB, mark=3, via="poll", status="succeeded", finished_ms=1e3)
    gone = Event(What.NO_PICTURE, 2.5, since=2.4, job=JOB, mark=3, via="result", code="expired")
    accepted = Event(What.ACCEPTED, 1.0, job=JOB, mark=3)
    assert heard(watched, Event(What.BEGIN, 0.0, wall_ms=0.0), accepted) == []
    assert heard(watched, ended) == []
    assert heard(watched, gone) == [Broken.LOST]
    assert heard(watched, Event(What.PICTURE, 3.0, job=JOB, mark=3, found=4)) == [Broken.FOREIGN]
    assert heard(watched) == []


def test_a_second_job_of_a_key_is_seen() -> None:
    watched = Watch()
    jobs = [Event(What.ACCEPTED, float(at), job=f"job-{at}", mark=3) for at in (1, 2)]
    assert heard(watched, jobs[0]) == []
    assert heard(watched, jobs[1]) == [Broken.DOUBLED]
