"""Limits on the size of pictures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The largest pictures that are read and produced, in pixels.

    The gateway checks them before a job is queued. Workers check again before decoding, because
    other programs may write to the queue.
    """

    source_pixels: int
    output_pixels: int
