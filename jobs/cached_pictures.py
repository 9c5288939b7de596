"""Cached pictures: results that are kept for further requests with the same source and options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jobs.job import Job, JobView, RunFacts
from jobs.terms import Terms


@dataclass(frozen=True)
class CacheBounds:
    """How much is kept, and how long."""

    total_bytes: int
    picture_bytes: int
    """Largest picture that is kept."""
    age_s: float


@dataclass(frozen=True)
class CachedPicture:
    """What is known of a cached picture without reading it."""

    group: str
    """Digest of the source and of all options that every picture of the group has in common."""
    variant: str
    """Digest of the model and the width that made it."""
    facts: RunFacts
    bytes: int
    age_s: float
    found_ms: float
    """When it was found, by the clock of the pictures' server."""

    @property
    def name(self) -> str:
        """Its name among all cached pictures."""
        return self.group + self.variant


@dataclass(frozen=True)
class Kept:
    """What came of keeping a picture."""

    kept: bool
    total_bytes: int
    """Of all cached pictures."""
    evicted: int
    """Pictures that were dropped to make room."""


class CachedPictures(Protocol):
    """Results kept beside the queue's pictures, right with several gateways. Every method may raise
    ConnectionError."""

    async def variants(self, group: str) -> list[CachedPicture]:
        """Return the cached pictures of a group."""

    async def picture(self, cached: CachedPicture) -> bytes | None:
        """Return a cached picture, which then counts as used; None when it is gone or damaged."""

    async def keep(
        self, view: JobView, group: str, variant: str, bounds: CacheBounds, *, move: bool
    ) -> Kept:
        """Keep the result of a job that succeeded as a cached picture, and drop the least recently
        used ones beyond the bounds. With `move` the job has its result no longer."""

    async def drop_old(self, bounds: CacheBounds) -> Kept:
        """Drop the cached pictures beyond the bounds."""

    async def validator(self, name: str) -> tuple[str, float] | None:
        """Return the entity tag that is remembered under a name, and for how many seconds more;
        None where none is."""

    async def remember_validator(self, name: str, tag: str, seconds: int) -> None:
        """Remember an entity tag. Has no effect where there is no memory for it."""

    async def end_job(
        self, cached: CachedPicture, job: Job, spent_ms: float, terms: Terms
    ) -> JobView | None:
        """Record a job that ends at once with a cached picture as its result, `spent_ms` after the
        end of its upload; return it, or the job that has its idempotency key already
        (IdempotencyKeyReused if that was another request). None when the picture is gone, or there
        is no memory for another copy: nothing is recorded then."""
