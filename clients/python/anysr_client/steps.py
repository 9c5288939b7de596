"""What the client does, as steps without input and output.

A flow is a generator that yields steps, and gets a reply to each: what a driver did for it. The
two drivers, one that blocks and one that awaits, are the only code that there is twice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from anysr_client.answers import BatchState, JobState
from anysr_client.calls import Answer, Call
from anysr_client.deadline import Deadline
from anysr_client.errors import AnysrError

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Send a request. Reply: its Answer; raises ConnectionFailed and DeadlineExceeded."""

    call: Call
    deadline: Deadline | None


@dataclass(frozen=True)
class Listen:
    """Send a request whose answer goes on for long; it takes the place of an earlier one. Reply:
    its Answer, without a body if it is a success. Raises as Send does."""

    call: Call
    deadline: Deadline | None
    quiet_s: float
    """Seconds without a byte after which the connection counts as broken."""


@dataclass(frozen=True)
class Hear:
    """Take the next piece of what is listened to. Reply: bytes, none of them at the end. Raises as
    Send does."""


@dataclass(frozen=True)
class Pause:
    """Wait. Reply: None."""

    seconds: float


@dataclass(frozen=True)
class Show:
    """Give the caller the state of a job or a batch. Reply: None."""

    state: JobState | BatchState


Step = Send | Listen | Hear | Pause | Show
Flow = Generator[Step, Any, T]


def sent(call: Call, deadline: Deadline | None) -> Flow[Answer]:
    """Send a request, and return its answer."""
    answer = yield Send(call, deadline)
    assert isinstance(answer, Answer)
    return answer


def listened(call: Call, deadline: Deadline | None, quiet_s: float) -> Flow[Answer]:
    """Begin to listen."""
    answer = yield Listen(call, deadline, quiet_s)
    assert isinstance(answer, Answer)
    return answer


def heard() -> Flow[bytes]:
    """Return the next piece of what is listened to."""
    piece = yield Hear()
    assert isinstance(piece, bytes)
    return piece


class Running(Generic[T]):
    """A flow that a driver runs."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.step: Step | None = None
        """What is to be done next; None at the end."""
        self.result: T
        """What the flow returned; set at the end."""
        self.reply(None)

    def reply(self, value: object) -> None:
        """Go on with the reply to a step."""
        self._go_on(lambda: self._flow.send(value))

    def fail(self, error: AnysrError) -> None:
        """Go on with the error of a step. Raises it where the flow has no answer to it."""
        self._go_on(lambda: self._flow.throw(error))

    def _go_on(self, next_step: Callable[[], Step]) -> None:
        try:
            self.step = next_step()
        except StopIteration as end:
            self.step, self.result = None, end.value
