"""Uploads: pictures that callers write into the bucket themselves, before a job names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class NewUpload:
    """An upload that nobody has written yet."""

    id: str
    url: str = field(repr=False)
    """Lets whoever knows it write the picture, once."""
    headers: Mapping[str, str]
    """What the PUT must have, to the letter."""
    valid_s: int
    """For how long the URL and the upload can be used."""


@dataclass(frozen=True)
class TakenUpload:
    """An upload that a request has taken: no other one gets it meanwhile."""

    id: str
    most: int
    """Bytes that its caller has announced."""
    by: str
    """The request's idempotency key, or ''."""


@dataclass(frozen=True)
class StoredUpload:
    """What the bucket has of a taken upload."""

    size: int
    """Bytes."""
    tag: str | None
    """The entity tag of this content."""


class Uploads(Protocol):
    """Keeps uploads. Every method may raise ConnectionError."""

    async def create(
        self, owner: str, counted_as: str, media_type: str, size: int, most_open: int
    ) -> NewUpload:
        """Keep an upload of `size` bytes for its owner, the name of a client or ''. Raises
        Overloaded if `counted_as` has `most_open` that no job has taken, and while the bucket is
        full."""

    async def take(self, upload_id: str, owner: str, by: str) -> TakenUpload:
        """Take an upload for a request, whose idempotency key is `by`, or ''.

        Raises UploadNotFound where its owner has none of this id, or it has expired, and UploadUsed
        if another request has taken it: one with another key, or any where a key is missing.
        """

    async def stored(self, upload: TakenUpload) -> StoredUpload | None:
        """Return what the bucket has; None where nothing was written yet."""

    async def part(
        self, upload: TakenUpload, stored: StoredUpload, first: int, end: int
    ) -> bytes | None:
        """Return the bytes from `first` to before `end`; None if they were changed meanwhile."""

    async def end(self, upload: TakenUpload, *, used: bool) -> None:
        """Give an upload back, or, once it is `used`, keep it for nobody but a repetition by the
        same key. During an outage it has no effect: the upload expires later."""
