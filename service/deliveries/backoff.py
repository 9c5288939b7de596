"""When a failed delivery is tried again: exponential backoff with full jitter.

The pause is drawn evenly from 0 to a bound that doubles with each attempt, so that deliveries that
failed together do not come together again (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

FIRST_S = 5.0
"""Bound of the pause after the first attempt."""
LONGEST_S = 900.0
"""After an outage, deliveries come within this time of its end."""
DOUBLINGS = 16
"""More would only make larger numbers than `LONGEST_S`."""
LONGEST_RETRY_AFTER_S = 86_400.0
"""A receiver's wish beyond this is not followed to the letter."""


def pause_s(failures: int, drawn: Callable[[], float], retry_after_s: float = 0.0) -> float:
    """Return the seconds before the next attempt, after this many failed ones (1 or more). `drawn`
    draws evenly from 0 to 1; the pause is never less than the receiver's Retry-After."""
    bound = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, DOUBLINGS))
    return max(drawn() * bound, min(retry_after_s, LONGEST_RETRY_AFTER_S))


def retry_after_s(header: str | None, now: float) -> float:
    """Return the seconds of a Retry-After header, a number or a date, at Unix time `now`; 0 for
    none, for the past, and for what cannot be read."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:12]), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - now)
    except (ValueError, OverflowError, IndexError, TypeError):
        return 0.0
