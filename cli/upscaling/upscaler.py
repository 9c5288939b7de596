"""What upscales a picture for `anysr upscale`: this process, or a service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jobs.formats import ImageFormat


@dataclass(frozen=True)
class Outcome:
    """An encoded picture, and one line on how it was made."""

    picture: bytes
    format: ImageFormat
    summary: str


class ServiceGone(Exception):
    """The service cannot be reached, so that trying further pictures is in vain."""


class Upscaler(Protocol):
    """Upscales one encoded picture at a time. Raises errors of `jobs.errors`, and ServiceGone."""

    def upscale(self, data: bytes) -> Outcome: ...

    def close(self) -> None: ...


def cleaned(strength: float) -> str:
    """Return the part of a summary on damage that was cleaned up; empty if none was."""
    return f", cleaned up at strength {strength:g}" if strength > 0 else ""


def converted(colours: bool) -> str:
    """Return the part of a summary on colours that the output could not state."""
    return ", colours converted" if colours else ""
