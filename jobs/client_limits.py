"""What one client may do, and what it has left."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jobs.errors import AnysrError, QuotaExceeded, RateLimited, TooManyJobs

DAY_S = 86_400
"""Window of a quota of pixels: a day of UTC, by the clock of the queue's Redis."""

JOBS_RETRY_S = 1.0
"""When to ask again after `too_many_jobs`: how long its jobs will wait, nobody knows."""


@dataclass(frozen=True, kw_only=True)
class ClientLimits:
    """Limits of one client, which all its keys share. None: no limit."""

    client: str
    """The client's name."""
    requests_per_second: float | None = None
    """Rate at which its bucket of tokens fills; each request takes one."""
    burst: int = 1
    """Tokens that the bucket holds: requests that may come at once after a rest."""
    pixels_per_day: int | None = None
    """Output pixels of the jobs that are accepted in one day of UTC."""
    jobs_waiting: int | None = None
    """Jobs that may wait in the queue; running ones do not count."""

    @property
    def window_s(self) -> int:
        """Seconds in which an empty bucket fills, rounded up; 1 without a rate."""
        rate = self.requests_per_second
        return 1 if rate is None else max(1, math.ceil(self.burst / rate))

    @property
    def counted(self) -> bool:
        """Whether anything must be counted for this client."""
        limits = (self.requests_per_second, self.pixels_per_day, self.jobs_waiting)
        return any(limit is not None for limit in limits)


@dataclass(frozen=True)
class Allowance:
    """What a client has left after a request was counted, and why that one is refused."""

    requests: int = 0
    """Requests that may come at once."""
    full_s: float = 0.0
    """Seconds until the bucket is full again."""
    pixels: int = 0
    """Output pixels that are left of this day."""
    day_s: float = DAY_S
    """Seconds that are left of this day."""
    refusal: AnysrError | None = None


def rate_limited(limits: ClientLimits, retry_s: float) -> RateLimited:
    """Return the error of a request that came too early."""
    return RateLimited(
        f"The client {limits.client} may send {limits.requests_per_second:g} requests a second, "
        f"and {limits.burst} at once.",
        retry_after_s=retry_s,
    )


def quota_exceeded(limits: ClientLimits, left: int, day_s: float, needed: int = 0) -> QuotaExceeded:
    """Return the error of a request for more pixels than are left of this day."""
    needs = f"; this picture has {needed}" if needed else ""
    return QuotaExceeded(
        f"The client {limits.client} may ask for {limits.pixels_per_day} output pixels a day, and "
        f"has {left} left{needs}. The day ends at midnight UTC.",
        retry_after_s=day_s,
    )


def too_many_jobs(limits: ClientLimits) -> TooManyJobs:
    """Return the error of a request by a client with too many waiting jobs."""
    return TooManyJobs(
        f"The client {limits.client} may have {limits.jobs_waiting} jobs waiting, and has so many.",
        retry_after_s=JOBS_RETRY_S,
    )
