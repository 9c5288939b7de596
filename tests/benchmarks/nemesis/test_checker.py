"""The checker, on histories written by hand: a right one, and one for each way to break it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.nemesis.checker import Broken, violations
from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Event, What, events_of, line_of

WALL_MS = 1_000_000.0
JOB, MARK = "job-1", 17


def state(at: float, status: str, via: str = "poll", **more: Any) -> Event:
    """The job as it is shown `at` seconds; it was submitted after 1 s, with a budget of 4 s."""
    facts: dict[str, Any] = {"submitted_ms": WALL_MS + 1e3, "deadline_ms": WALL_MS + 5e3}
    if status not in ("queued", "running"):
        facts["finished_ms"] = WALL_MS + 2e3
    facts |= {"since": at - 0.01, "mark": MARK, "job": JOB, **more}
    return Event(What.STATE, at, via=via, status=status, **facts)


def seen(what: What, at: float, **more: Any) -> Event:
    return Event(what, at, **{"mark": MARK, "job": JOB, "since": at - 0.01, **more})


def fault(kind: Kind, at: float, until: float) -> Event:
    return Event(What.FAULT, at, until=until, text=kind.value)


def history(*events: Event, end: str = "succeeded", hook: bool = False) -> list[Event]:
    """A history in which a job is accepted and ends so, with further events."""
    return [
        Event(What.BEGIN, 0.0, wall_ms=WALL_MS),
        Event(What.SUBMIT, 0.9, mark=MARK),
        seen(What.ACCEPTED, 1.0, hook=hook),
        *events,
        state(20.0, end, "audit"),
        seen(What.RECORD, 20.0, count=1),
    ]


def broken(events: Sequence[Event]) -> list[Broken]:
    return [violation.broken for violation in violations(events)]


RIGHT = [
    state(1.5, "queued"),
    state(1.8, "running"),
    state(2.1, "succeeded"),
    seen(What.PICTURE, 2.3, found=MARK, via="result"),
    state(2.2, "succeeded", "webhook"),
    Event(What.KEY, 21.0, text="n:job:job-1", until=3600.0),
    Event(What.KEY, 21.0, text="n:tokens", until=-1.0),
]


def test_a_right_history_breaks_nothing() -> None:
    assert broken(history(*RIGHT, hook=True)) == []


def test_a_history_is_read_as_it_was_written() -> None:
    events = history(*RIGHT, hook=True)
    assert list(events_of(map(line_of, events))) == events
    with pytest.raises(ValueError, match="no event"):
        list(events_of(['{"what": "submit", "unknown": 1}']))


def test_a_job_that_has_not_ended_is_lost() -> None:
    assert broken(history(end="running")) == [Broken.LOST]
    assert broken(history(state(2.0, "running"))[:-2]) == [Broken.LOST]


def test_two_jobs_of_one_key_are_a_doubled_one() -> None:
    other = [
        seen(What.ACCEPTED, 3.0, job="job-2"),
        state(20.0, "succeeded", "audit", job="job-2"),
    ]
    assert broken(history(*other)) == [Broken.DOUBLED]


def test_a_picture_of_another_is_foreign_and_so_is_one_without_a_mark() -> None:
    for found in (MARK + 1, None):
        assert broken(history(seen(What.PICTURE, 3.0, found=found))) == [Broken.FOREIGN]


def test_an_end_that_changes_is_doubled() -> None:
    failed = state(2.5, "failed", code="worker_lost")
    assert Broken.DOUBLED in broken(history(state(2.1, "succeeded"), failed))
    later = state(2.5, "succeeded", finished_ms=WALL_MS + 2.4e3)
    assert broken(history(state(2.1, "succeeded"), later)) == [Broken.DOUBLED]
    assert broken(history(state(2.1, "succeeded"), state(2.5, "queued"))) == [Broken.DOUBLED]


def test_an_answer_to_an_earlier_question_may_be_older() -> None:
    earlier = state(2.2, "running", since=1.9)
    assert broken(history(state(2.1, "succeeded"), earlier)) == []


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_cancellation_that_is_answered_by_a_job_that_goes_on(status: str) -> None:
    assert broken(history(state(2.1, status, "cancel"))) == [Broken.AFTER_CANCEL]


def test_nothing_comes_after_a_cancellation() -> None:
    cancelled = state(2.1, "cancelled", "cancel")
    assert broken(history(cancelled, end="cancelled")) == []
    picture = seen(What.PICTURE, 2.2, found=MARK)
    assert broken(history(cancelled, picture, end="cancelled")) == [Broken.AFTER_CANCEL]
    assert set(broken(history(cancelled))) == {Broken.AFTER_CANCEL}


def test_a_job_that_ended_before_its_cancellation_keeps_its_picture() -> None:
    ended = state(2.1, "succeeded", "cancel")
    assert broken(history(ended, seen(What.PICTURE, 2.2, found=MARK))) == []


def test_a_picture_that_is_gone_too_soon_is_lost() -> None:
    gone = seen(What.NO_PICTURE, 3.0, code="result_expired", via="result")
    assert broken(history(state(2.1, "succeeded"), gone)) == [Broken.LOST]
    late = seen(What.NO_PICTURE, 300.0, code="result_expired", via="result")
    assert broken(history(state(2.1, "succeeded"), late)) == []


def test_a_webhook_comes_once_or_again_after_a_fault_of_its_way() -> None:
    hooks = state(2.2, "succeeded", "webhook"), state(9.0, "succeeded", "webhook")
    assert broken(history(hook=True)) == [Broken.LOST]
    assert broken(history(*hooks, hook=True)) == [Broken.DOUBLED]
    worker, gateway = (fault(kind, 2.1, 2.1) for kind in (Kind.WORKER_KILL, Kind.GATEWAY_KILL))
    assert broken(history(worker, *hooks, hook=True)) == [Broken.DOUBLED]
    assert broken(history(gateway, *hooks, hook=True)) == []


def test_a_webhook_that_tells_another_end_is_doubled() -> None:
    hook = state(2.2, "failed", "webhook", code="worker_lost")
    assert Broken.DOUBLED in broken(history(hook, hook=True))


def test_an_error_that_says_nothing_is_unclear() -> None:
    assert broken(history(seen(What.REFUSED, 3.0, code="internal_error"))) == [Broken.UNCLEAR]
    assert broken(history(seen(What.REFUSED, 3.0, code="not_ready"))) == []
    unclear = state(20.0, "failed", "audit", code="internal_error")
    assert Broken.UNCLEAR in broken([*history(end="failed")[:-2], unclear])


def test_a_job_that_is_claimed_again_without_a_fault_is_doubled() -> None:
    again = [*history(state(2.1, "succeeded"))[:-1], seen(What.RECORD, 20.0, count=2)]
    assert broken(again) == [Broken.DOUBLED]
    assert broken([*again, fault(Kind.WORKER_KILL, 1.5, 1.5)]) == []
    assert broken([*again, fault(Kind.GATEWAY_KILL, 1.5, 1.5)]) == [Broken.DOUBLED]
    assert broken([*again, fault(Kind.WORKER_KILL, 9.0, 9.0)]) == [Broken.DOUBLED]


def test_a_job_is_given_up_only_after_all_its_runs() -> None:
    given_up = [*history()[:-2], state(20.0, "failed", "audit", code="worker_lost")]
    faults = [fault(Kind.WORKER_KILL, at, at) for at in (1.2, 1.5)]
    for claims, found in ((1, [Broken.LOST]), (3, [])):
        assert broken([*given_up, *faults, seen(What.RECORD, 20.1, count=claims)]) == found


def test_a_late_end_is_allowed_by_faults_alone() -> None:
    late = {"finished_ms": WALL_MS + 25e3}
    events = [*history()[:-2], state(40.0, "succeeded", "audit", **late)]
    assert broken(events) == [Broken.LATE]
    assert broken([*events, fault(Kind.WORKER_STOP, 2.0, 5.0)]) == []
    assert broken([*events, fault(Kind.GATEWAY_KILL, 2.0, 2.0)]) == [Broken.LATE]


def test_an_upload_whose_job_was_never_accepted_goes_by_itself() -> None:
    assert broken(history(Event(What.KEY, 21.0, text="n:payload:job-1", until=29.0))) == []


def test_a_run_that_changes_after_its_end_is_doubled() -> None:
    states = state(2.1, "succeeded", run_ms=40.0), state(2.5, "succeeded", run_ms=55.0)
    assert Broken.DOUBLED in broken(history(*states))


def test_what_shows_only_at_the_end_is_not_asked_of_a_run_that_has_not_come_to_it() -> None:
    cut_short = history(hook=True)[:-2]
    assert set(broken(cut_short)) == {Broken.LOST}
    assert violations(cut_short, settled=False) == []
    foreign = seen(What.PICTURE, 3.0, found=MARK + 1)
    assert len(violations([*cut_short, foreign], settled=False)) == 1


def test_a_fault_that_goes_on_allows_what_it_will_have_allowed() -> None:
    again = [*history(state(2.1, "succeeded"))[:-1], seen(What.RECORD, 20.0, count=2)]
    assert broken([*again, Event(What.STRUCK, 1.5, text=Kind.LATE_RESULT.value)]) == []
    assert broken([*again, Event(What.STRUCK, 9.0, text=Kind.LATE_RESULT.value)]) != []


@pytest.mark.parametrize(
    ("key", "ttl"), [("n:payload:job-1", 1800.0), ("n:job:job-1", -1.0), ("n:result:j:1", -1.0)]
)
def test_a_key_that_nobody_needs_is_left_over(key: str, ttl: float) -> None:
    assert broken(history(Event(What.KEY, 21.0, text=key, until=ttl))) == [Broken.LEFT]


def test_a_job_in_the_queue_after_its_end_is_left_over() -> None:
    assert broken(history(seen(What.MEMBER, 21.0, text="n:leases"))) == [Broken.LEFT]


def test_a_process_that_ends_by_itself_is_reported() -> None:
    assert broken(history(Event(What.DIED, 3.0, text="worker 1: status 1"))) == [Broken.DIED]
