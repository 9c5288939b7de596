"""What there is to do for a job, in the numbers that its cost depends on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.job import JobRequest
from scheduling.tiling import Tiling, halo_pixels


@dataclass(frozen=True)
class Work:
    """What a job's cost depends on."""

    source_pixels: int
    output_pixels: int
    output_format: str
    halo_pixels: int = 0
    """Input pixels that a network computes beyond the picture's own: its rim, and the halos of
    its tiles."""

    def in_tiles(self) -> Work:
        """Return the work as a network sees it: what it is shown counts as source."""
        shown = self.source_pixels + self.halo_pixels
        return replace(self, source_pixels=shown, halo_pixels=0)


def work_of(job: JobRequest, tiling: Tiling) -> Work:
    """Return the work of a job whose picture is cut by a tiling. The one way to tell, so that
    what the gateway promises and what the worker does are counted alike.

    Raises ValueError for a job whose output is smaller than its input.
    """
    size = job.source_height, job.source_width
    output_size = job.output_height, job.output_width
    return Work(
        source_pixels=job.source_width * job.source_height,
        output_pixels=job.output_width * job.output_height,
        output_format=job.output_format.value,
        halo_pixels=halo_pixels(size, output_size, tiling),
    )
