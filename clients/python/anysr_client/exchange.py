"""A request and its successful answer, with the retries between them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from anysr_client.calls import Answer, Repeatable
from anysr_client.deadline import Deadline
from anysr_client.errors import AnysrError
from anysr_client.retries import Retries, Tries, pause_before_next_s
from anysr_client.steps import Flow, Pause, sent


@dataclass(frozen=True)
class Terms:
    """What bounds a request in time."""

    retries: Retries
    deadline: Deadline | None = None


def answered(request: Repeatable, terms: Terms) -> Flow[Answer]:
    """Return the successful answer to a request.

    Raises the last try's error, also where only the deadline forbids another one: it says what was
    in the way.
    """
    began_s = time.monotonic()
    tries = Tries()
    while True:
        try:
            answer = yield from sent(request.call(terms.deadline), terms.deadline)
            if answer.error is None:
                return answer
            raise answer.error
        except AnysrError as error:
            tries = tries.after(error, time.monotonic() - began_s)
            pause_s = _pause_s(tries, error, terms)
            if pause_s is None:
                raise
            request.failed(error)
        yield Pause(pause_s)


def _pause_s(tries: Tries, error: AnysrError, terms: Terms) -> float | None:
    left_s = None if terms.deadline is None else terms.deadline.left_s()
    return pause_before_next_s(terms.retries, tries, error, left_s, random.random())
