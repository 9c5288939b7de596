"""Work of a job: the numbers on which its cost depends."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.job import JobRequest
from scheduling.tiling import Tiling, halo_pixels


@dataclass(frozen=True)
class Work:
    """Pixels in and out, output format, and the halos of the tiles."""

    source_pixels: int
    output_pixels: int
    output_format: str
    halo_pixels: int = 0
    """Input pixels that a network computes in addition to the picture's own: rim and halos."""

    def in_tiles(self) -> Work:
        """Return the work of a network, whose source pixels include rim and halos."""
        shown = self.source_pixels + self.halo_pixels
        return Work(shown, self.output_pixels, self.output_format)


def work_of(job: JobRequest, tiling: Tiling) -> Work:
    """Return the work of a job whose picture is cut by a tiling.

    Gateway and worker both count by this function, so promise and run agree.

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
