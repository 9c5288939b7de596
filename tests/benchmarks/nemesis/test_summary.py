"""What a run counts."""

from __future__ import annotations

from typing import Any

from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.summary import UNDISTURBED, Punctuality, summarise

WALL_MS = 5_000_000.0


def end(job: str, mark: int, status: str, code: str | None, deadline_ms: float) -> Event:
    times: dict[str, Any] = {
        "submitted_ms": WALL_MS,
        "finished_ms": WALL_MS + 2e3,
        "deadline_ms": deadline_ms,
    }
    about: dict[str, Any] = {"mark": mark, "job": job, "via": "audit", "since": 9.0}
    return Event(What.STATE, 9.1, status=status, code=code, **about, **times)


def test_a_summary_counts_faults_ends_and_runs() -> None:
    summary = summarise(
        4,
        1.5,
        [
            Event(What.BEGIN, 0.0, wall_ms=WALL_MS),
            Event(What.FAULT, 1.0, until=1.0, text=Kind.WORKER_KILL.value, count=1),
            Event(What.FAULT, 1.2, until=1.2, text=Kind.WORKER_KILL.value, count=0),
            Event(What.FAULT, 1.4, until=3.4, text=Kind.DISK_FULL.value, count=0),
            *(Event(What.ACCEPTED, 0.5, mark=mark, job=f"j{mark}") for mark in (1, 2, 3)),
            end("j1", 1, "succeeded", None, WALL_MS + 5e3),
            end("j2", 2, "succeeded", None, WALL_MS + 1e3),
            end("j3", 3, "failed", "worker_lost", WALL_MS + 5e3),
            Event(What.RECORD, 9.2, mark=1, job="j1", count=3),
            Event(What.PICTURE, 9.3, mark=1, job="j1", found=1),
        ],
    )
    assert (summary.seed, summary.minutes, summary.jobs) == (4, 1.5, 3)
    assert summary.faults[Kind.WORKER_KILL] == 2
    assert summary.in_hand == {Kind.WORKER_KILL: 1}
    assert summary.ends == {"succeeded": 2, "worker_lost": 1}
    assert summary.again == 2
    assert summary.met == 1 / 3
    assert summary.punctuality == {
        Kind.WORKER_KILL: Punctuality(2, 1, 1.0),
        Kind.DISK_FULL: Punctuality(2, 1, 1.0),
    }
    assert summary.passed
    assert summary.to_dict()["found"] == []


def test_a_job_that_stood_still_counts_for_that_alone() -> None:
    events = [
        Event(What.BEGIN, 0.0, wall_ms=WALL_MS),
        Event(What.ACCEPTED, 0.1, mark=1, job="j1"),
        end("j1", 1, "succeeded", None, WALL_MS + 1e3),
        Event(What.FAULT, 0.2, until=1.9, text=Kind.STALL.value),
        Event(What.FAULT, 0.3, until=1.0, text=Kind.PARTITION.value, count=0),
    ]
    assert summarise(1, 1.0, events).punctuality == {Kind.STALL: Punctuality(1, 0, 1.0)}


def test_what_was_noticed_counts_from_the_start_without_standstills() -> None:
    begun = Event(What.BEGIN, 0.0, wall_ms=WALL_MS)
    noticed = Event(What.NOTICED, 50.0, text="49.00 s: lost: a job")
    stalls = [
        Event(What.FAULT, at, until=until, text=Kind.STALL.value)
        for at, until in ((3.0, 13.0), (20.0, 25.0), (60.0, 90.0))
    ]
    assert summarise(1, 1.0, [begun]).noticed_s is None
    assert summarise(1, 1.0, [begun, noticed, *stalls], settled=False).noticed_s == 35.0


def test_a_job_between_the_faults_counts_as_undisturbed() -> None:
    events = [
        Event(What.BEGIN, 0.0, wall_ms=WALL_MS),
        Event(What.ACCEPTED, 0.1, mark=1, job="j1"),
        end("j1", 1, "succeeded", None, WALL_MS + 5e3),
        Event(What.FAULT, 4.0, until=5.0, text=Kind.PARTITION.value, count=0),
    ]
    assert summarise(1, 1.0, events).punctuality == {UNDISTURBED: Punctuality(1, 1, -3.0)}
