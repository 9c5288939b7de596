"""How large pictures may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The largest pictures that are read and made, in pixels. The gateway checks them before a job
    is queued, and a worker again before it decodes: a queue may be filled by others, too."""

    source_pixels: int
    output_pixels: int
