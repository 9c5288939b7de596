"""One fuzz target: a function that accepts any bytes, and the seeds from which fuzzing starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Target:
    """A reader of foreign bytes. It is independent of the fuzzer."""

    run: Callable[[bytes], None]
    """Returns for every input that is read or refused as documented; else raises."""
    seeds: Callable[[], Iterable[bytes]]
    """Draws the inputs from which mutations start."""
    longest: int
    """Most bytes of an input."""
    repaired: Callable[[bytes], bytes] = bytes
    """Makes an input whole again after a mutation: checksums that hide all else from the fuzzer."""


def read_or_refused(
    read: Callable[[], Result], refusals: tuple[type[Exception], ...]
) -> Result | None:
    """Return the result of a call, None if it raised exactly one of these errors; any other one
    passes through, subclasses too."""
    try:
        return read()
    except refusals as error:
        if type(error) not in refusals:
            raise
        return None
