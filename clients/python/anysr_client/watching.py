"""Watches a job or a batch until it ends: by its events, and by asking where they break off."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from anysr_client.answers import BatchState, JobState
from anysr_client.calls import Call, Plain
from anysr_client.deadline import Deadline
from anysr_client.errors import Busy, ConnectionFailed, DeadlineExceeded, UnexpectedAnswer
from anysr_client.exchange import Terms, answered
from anysr_client.reading import read_json
from anysr_client.server_sent_events import EventReader
from anysr_client.steps import Flow, Pause, Show, heard, listened

LONGEST_QUIET_S = 45.0
"""The service sends a comment every 15 seconds."""
SHORTEST_QUIET_S = 0.1
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


State = TypeVar("State", JobState, BatchState)


@dataclass(frozen=True)
class Resource(Generic[State]):
    """A job or a batch of the service."""

    path: str
    kind: type[State]
    """What its state is read as."""


def job_of(job_id: str) -> Resource[JobState]:
    """Return the job of an id."""
    return Resource(f"/jobs/{quote(job_id, safe='')}", JobState)


def batch_of(batch_id: str) -> Resource[BatchState]:
    """Return the batch of an id."""
    return Resource(f"/batches/{quote(batch_id, safe='')}", BatchState)


def state_of(resource: Resource[State], terms: Terms) -> Flow[State]:
    """Return a job or a batch as it is now."""
    answer = yield from answered(Plain(Call("GET", resource.path)), terms)
    return read_json(resource.kind, answer.body)


def watched(resource: Resource[State], terms: Terms) -> Flow[State]:
    """Show a state at once and at each change, and return the last one.

    Raises DeadlineExceeded at the deadline; the job or batch goes on.
    """
    shown: State | None = None
    pause_s = FIRST_PAUSE_S
    while True:
        before = shown
        # A gateway that stops ends its streams, and some proxies pass none on.
        with contextlib.suppress(ConnectionFailed, Busy, UnexpectedAnswer):
            shown = yield from _heard_of(resource, terms.deadline, shown)
        if shown is None or not shown.ended:
            shown = yield from _show(shown, (yield from state_of(resource, terms)))
        if shown.ended:
            return shown
        pause_s = FIRST_PAUSE_S if shown != before else min(2.0 * pause_s, LONGEST_PAUSE_S)
        yield Pause(_within(terms.deadline, pause_s))


def _heard_of(
    resource: Resource[State], deadline: Deadline | None, shown: State | None
) -> Flow[State | None]:
    """Show the states in events, until they end or the deadline is so near that a shorter
    silence has to be noticed; return the last one."""
    quiet_s = _quiet_s(deadline)
    call = Call("GET", f"{resource.path}/events", headers={"Accept": "text/event-stream"})
    answer = yield from listened(call, deadline, quiet_s)
    if answer.error is not None:
        raise answer.error
    reader = EventReader()
    while piece := (yield from heard()):
        for data in reader.read(piece):
            shown = yield from _show(shown, read_json(resource.kind, data))
        if deadline is not None and deadline.left_s() < quiet_s > SHORTEST_QUIET_S:
            break
    return shown


def _show(shown: State | None, state: State) -> Flow[State]:
    if state != shown:
        yield Show(state)
    return state


def _quiet_s(deadline: Deadline | None) -> float:
    """Return how long a stream may be silent: a blocking read notices nothing else meanwhile, so a
    quarter of what remains is the most by which a deadline is noticed late."""
    if deadline is None:
        return LONGEST_QUIET_S
    left_s = deadline.left_s()
    if left_s <= 0.0:
        raise DeadlineExceeded("the deadline passed before the end")
    return min(LONGEST_QUIET_S, max(SHORTEST_QUIET_S, left_s / 4.0))


def _within(deadline: Deadline | None, pause_s: float) -> float:
    """Return a pause that ends at the deadline at the latest."""
    return pause_s if deadline is None else max(0.0, min(pause_s, deadline.left_s()))
