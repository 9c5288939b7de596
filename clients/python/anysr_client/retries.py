"""When a request is repeated, and after which pause."""

from __future__ import annotations

from dataclasses import dataclass

from anysr_client.errors import AnysrError, Busy, Conflict, ConnectionFailed, UnexpectedAnswer

PROXY_STATUSES = frozenset({502, 503, 504})
"""What a proxy answers by itself while the service behind it starts anew."""


@dataclass(frozen=True)
class Retries:
    """How patient a client is. The caller's deadline bounds it further."""

    patience_s: float = 60.0
    """How long after the first try another one may begin. A service that loads a model, or has
    much to do, says in `Retry-After` when to come again."""
    attempts: int = 4
    """Tries whose connection fails, or to which a proxy answers, before the error is raised."""
    first_pause_s: float = 0.25
    longest_pause_s: float = 8.0


NO_RETRIES = Retries(patience_s=0.0, attempts=1)


@dataclass(frozen=True)
class Tries:
    """What one request has been through."""

    made: int = 0
    """Tries in all."""
    broken: int = 0
    """Tries to which the service gave no answer."""
    waited_s: float = 0.0
    """Seconds since the first."""

    def after(self, error: AnysrError, waited_s: float) -> Tries:
        """Return the tries with one more, which ended so."""
        return Tries(self.made + 1, self.broken + (not _answered(error)), waited_s)


def pause_before_next_s(
    retries: Retries, tries: Tries, error: AnysrError, left_s: float | None, chance: float
) -> float | None:
    """Return the seconds to wait before the next try; None if there is to be none.

    `left_s` is the time until the caller's deadline, `chance` a random number from 0 to 1. The
    pause has full jitter (Brooker, "Exponential backoff and jitter", 2015), and is never shorter
    than the service's `Retry-After`.
    """
    if not _worth_repeating(error) or tries.broken >= retries.attempts:
        return None
    ceiling_s = min(retries.longest_pause_s, retries.first_pause_s * 2.0 ** (tries.made - 1))
    pause_s = (error.retry_after or 0.0) + chance * ceiling_s
    if tries.waited_s + (error.retry_after or 0.0) > retries.patience_s:
        return None
    if left_s is not None and pause_s >= left_s:
        return None
    return pause_s


def _answered(error: AnysrError) -> bool:
    """Whether it was the service that answered, with what it wants."""
    return isinstance(error, Busy | Conflict)


def _worth_repeating(error: AnysrError) -> bool:
    """Whether a later try may succeed. A conflict may where the service says when: another request
    with the same idempotency key is being accepted."""
    if isinstance(error, Conflict):
        return error.retry_after is not None
    if isinstance(error, UnexpectedAnswer):
        return error.status in PROXY_STATUSES
    return isinstance(error, Busy | ConnectionFailed)
