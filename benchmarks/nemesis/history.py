"""What was done to a service and what its callers saw, as lines of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO


class What(StrEnum):
    """Kinds of events."""

    BEGIN = "begin"
    """`wall_ms`: the clock of the queue at the start."""
    SUBMIT = "submit"
    """A picture is sent, under an idempotency key of its own; further times after no answer."""
    ACCEPTED = "accepted"
    """The answer to that: `job`."""
    REFUSED = "refused"
    """An error as an answer, by `code`: to a request of any kind."""
    NO_ANSWER = "no answer"
    """The connection ended, or the caller's patience."""
    STATE = "state"
    """The job as an answer, an event or a webhook showed it."""
    PICTURE = "picture"
    """A picture came, and `found` is what it carries; None if that cannot be read."""
    NO_PICTURE = "no picture"
    """It was asked for, and an error came, by `code`."""
    STRUCK = "struck"
    """A fault of the kind `text` begins `at`."""
    FAULT = "fault"
    """It has lasted from `at` to `until`; `text` is its kind."""
    NOTICED = "noticed"
    """`text` is a violation that the checker saw while the run went on."""
    DIED = "died"
    """A process, `text`, ended by itself."""
    RECORD = "record"
    """Once a job has ended, and at the end: how many times it was claimed (`count`)."""
    KEY = "key"
    """At the end: a key in Redis, `text`, that expires after `until` seconds; -1: never."""
    MEMBER = "member"
    """At the end: a job's id, `job`, in the collection `text` of the queue."""


@dataclass(frozen=True)
class Event:
    """One line. Moments are seconds since the start."""

    what: What
    at: float
    since: float | None = None
    """When the request was sent that this answers."""
    until: float | None = None
    mark: int | None = None
    """The picture of the request."""
    via: str | None = None
    """How it was learnt: `post`, `poll`, `events`, `cancel`, `webhook`, `result`, `again` after a
    fault that was aimed at the job, `audit`."""
    job: str | None = None
    status: str | None = None
    code: str | None = None
    found: int | None = None
    count: int | None = None
    wall_ms: float | None = None
    submitted_ms: float | None = None
    deadline_ms: float | None = None
    finished_ms: float | None = None
    run_ms: float | None = None
    hook: bool = False
    """Whether the job's end is to be announced."""
    text: str | None = None


class Recorder:
    """Writes events as they come, and hands them to who listens."""

    def __init__(self, file: TextIO, heard: Callable[[Event], None] = lambda _: None) -> None:
        self._file = file
        self._heard = heard
        self._began = time.monotonic()

    def begin(self) -> None:
        """Count time from now on."""
        self._began = time.monotonic()
        self.add(What.BEGIN, wall_ms=time.time() * 1e3)

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began

    def add(self, what: What, **members: object) -> Event:
        """Write an event of this moment, or of `at`."""
        event = Event(what, **{"at": self.now(), **members})  # type: ignore[arg-type]
        self._file.write(line_of(event) + "\n")
        self._heard(event)
        return event


def line_of(event: Event) -> str:
    """Return an event as a line, without the members that say nothing."""
    said = {k: v for k, v in asdict(event).items() if v is not None and v is not False}
    return json.dumps(said)


def read(path: Path) -> list[Event]:
    """Return the events of a file. Raises ValueError for one that is none."""
    return list(events_of(path.read_text().splitlines()))


def events_of(lines: Iterable[str]) -> Iterable[Event]:
    """Yield the events of lines. Raises ValueError for one that is none."""
    for line in lines:
        try:
            members = json.loads(line)
            yield Event(**{**members, "what": What(members["what"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no event: {line[:100]}") from error
