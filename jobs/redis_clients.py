"""Clients on Redis: one script counts a request and compares it with all limits of its client."""

from __future__ import annotations

from typing import Any

from redis.exceptions import OutOfMemoryError

from jobs.client_limits import (
    Allowance,
    ClientLimits,
    quota_exceeded,
    rate_limited,
    too_many_jobs,
)
from jobs.errors import AnysrError, Overloaded
from jobs.outages import reports_outages
from jobs.queue import Clients
from jobs.scripts import Argument, Scripts

FULL_RETRY_S = 1.0


class RedisClients(Clients):
    """Counters of the clients of one namespace."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    @reports_outages
    async def allow(self, limits: ClientLimits, *, submits: bool) -> Allowance:
        numbers = (
            *(optional(limits.requests_per_second), limits.burst),
            *(optional(limits.pixels_per_day), optional(limits.jobs_waiting)),
        )
        try:
            answer = await self._scripts.run(
                "allow", *numbers, "1" if submits else "", client=limits.client
            )
        except OutOfMemoryError as error:
            if submits:
                raise Overloaded(retry_after_s=FULL_RETRY_S) from error
            # What empties Redis, such as cancelling a job, must stay possible.
            return Allowance(requests=limits.burst, pixels=limits.pixels_per_day or 0)
        return _allowance(limits, answer)


def _allowance(limits: ClientLimits, answer: list[Any]) -> Allowance:
    why, retry_ms, tokens, full_ms, used, day_ms = answer
    pixels = max(0, (limits.pixels_per_day or 0) - int(float(used)))
    day_s = float(day_ms) / 1e3
    refusal: AnysrError | None = None
    if why == b"rate":
        refusal = rate_limited(limits, float(retry_ms) / 1e3)
    elif why == b"pixels":
        refusal = quota_exceeded(limits, pixels, day_s)
    elif why == b"jobs":
        refusal = too_many_jobs(limits)
    return Allowance(int(tokens), float(full_ms) / 1e3, pixels, day_s, refusal)


def optional(limit: float | None) -> Argument:
    """Return a limit as the scripts read it: empty for none."""
    return "" if limit is None else limit
