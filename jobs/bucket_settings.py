"""The settings of a bucket for the queue's pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

S3 = "s3://"
PLACE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[\w.-]+)*)/?")
"""A bucket by S3's rules for names, and a prefix of plain parts."""
MEBIBYTE = 1 << 20


def check_place(url: str) -> None:
    """Raise ValueError for an address that is not `s3://bucket` or `s3://bucket/prefix`."""
    found = PLACE.fullmatch(url)
    if found is None or any(part in (".", "..") for part in found["prefix"].split("/")):
        raise ValueError(
            "must be s3://bucket or s3://bucket/prefix, of letters, digits, '-', '_' and '.'"
        )


@dataclass(frozen=True)
class BucketSettings:
    """A bucket of an S3 store, and who may use it."""

    bucket: str
    prefix: str
    """What the names of all objects begin with, without a `/` at its end; may be empty."""
    endpoint: str | None
    """The store's address; None for Amazon's."""
    public_endpoint: str | None
    """The store's address for callers."""
    region: str
    access_key_id: str | None = field(repr=False)
    """None where credentials come from the environment, the instance or the pod."""
    secret_access_key: str | None = field(repr=False)
    virtual_hosted: bool
    """Whether the bucket is a part of the host's name, instead of the path."""
    most_bytes: int
    """Of all pictures together."""

    @property
    def address(self) -> str:
        """The bucket as an operator writes it."""
        return f"{S3}{self.bucket}"

    @property
    def address_for_callers(self) -> str:
        """The store's address for callers, of which Amazon's is made by the region."""
        return self.public_endpoint or self.endpoint or f"https://s3.{self.region}.amazonaws.com"


def place_of(url: str) -> tuple[str, str]:
    """Return bucket and prefix of an address that `check_place` has passed."""
    bucket, _, prefix = url.removeprefix(S3).partition("/")
    return bucket, prefix.strip("/")
