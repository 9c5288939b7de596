"""The cost of one stage on a quiet machine: a line in megapixels and megabytes."""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduling.work import Work

UNCALIBRATED_MS_PER_MEGAPIXEL = 2000.0
"""Assumed cost of a stage that was never measured: slow, so that no promise is broken."""


@dataclass(frozen=True)
class Line:
    """Cost in ms: fixed + per_source * source megapixels + per_output * output megapixels +
    per_megabyte * megabytes of the source's file, which decoding alone depends on."""

    fixed: float
    per_source: float
    per_output: float
    per_megabyte: float = 0.0
    disturbed: bool = field(default=False, compare=False)
    """Whether other processes used the machine during the measurement: the line is then not cached
    for the next start, and is measured again."""

    @property
    def parts(self) -> tuple[float, float, float, float]:
        """The four figures, in the order in which they are written and read."""
        return self.fixed, self.per_source, self.per_output, self.per_megabyte

    def at(self, work: Work) -> float:
        """Return the ms of this much work."""
        return (
            self.fixed
            + self.per_source * work.source_pixels / 1e6
            + self.per_output * work.output_pixels / 1e6
            + self.per_megabyte * work.source_bytes / 1e6
        )


UNCALIBRATED = Line(0.0, 0.0, UNCALIBRATED_MS_PER_MEGAPIXEL)
