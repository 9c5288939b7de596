"""The requests of a run: drawn from its seed, one after the other for each caller."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

CALLERS = 8
MARKS = 1 << 20
"""Most requests of one caller: a picture's mark is that of the caller and its number."""


class Way(StrEnum):
    """How a caller learns what became of its picture."""

    POLL = "poll"
    EVENTS = "events"
    WEBHOOK = "webhook"
    CANCEL = "cancel"
    """It does not: it withdraws the job."""
    ANSWER = "answer"
    """`POST /upscale`."""
    LEAVE = "leave"
    """The same without an idempotency key; the caller leaves before the answer."""


WEIGHTS = {
    Way.POLL: 5,
    Way.EVENTS: 3,
    Way.WEBHOOK: 4,
    Way.CANCEL: 3,
    Way.ANSWER: 4,
    Way.LEAVE: 1,
}
CELLS = (6, 24, 48, 80)
"""Sides of a picture's cells: from 48 x 36 pixels, a few ms of a worker, to 640 x 480."""
SCALES = (1.5, 2.0, 2.37, 3.0)
BUDGETS_MS = (4_000, 8_000, 20_000)
LONGEST_PATIENCE_S = 1.0
"""Before a job is withdrawn, or the caller leaves."""
LONGEST_PAUSE_S = 0.4
REPEATED_OF = 6
"""Requests of a caller of which one is repeated."""


@dataclass(frozen=True)
class Wish:
    """One request."""

    mark: int
    way: Way
    cell: int
    scale: float
    budget_ms: int
    rejects: bool
    """Whether a late picture is wanted no more (`on_miss`)."""
    patience_s: float
    pause_s: float
    """Before it is sent."""
    repeats: bool
    """Whether a job that was accepted is submitted once more, as by a caller without the answer."""


def wishes(seed: int, caller: int) -> Iterator[Wish]:
    """Yield the requests of a caller, without end."""
    drawn = random.Random(f"{seed} caller {caller}")
    ways, weights = list(WEIGHTS), list(WEIGHTS.values())
    for number in range(MARKS):
        yield Wish(
            caller * MARKS + number,
            drawn.choices(ways, weights)[0],
            drawn.choice(CELLS),
            drawn.choice(SCALES),
            drawn.choice(BUDGETS_MS),
            drawn.random() < 0.25,
            drawn.uniform(0.0, LONGEST_PATIENCE_S),
            drawn.uniform(0.0, LONGEST_PAUSE_S),
            number % REPEATED_OF == 1,
        )
