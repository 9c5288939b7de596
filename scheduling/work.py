"""Work of a job: the numbers on which its cost depends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from images.memory import MOST_SAMPLE_BYTES
from jobs.job import JobRequest
from scheduling.tiling import Tiling, halo_pixels

USUAL_BYTES_PER_PIXEL = 0.5
"""Of a picture that is described and not sent: a photograph as a JPEG of quality 90."""


@dataclass(frozen=True)
class Work:
    """Pixels in and out, formats, halos of the tiles, and bytes of the source's file."""

    source_pixels: int
    output_pixels: int
    output_format: str
    halo_pixels: int = 0
    """Input pixels that a network computes in addition to the picture's own: rim and halos."""
    source_bytes: int = 0
    """Of the file, as far as they can be pixels: profiles, metadata and other frames are not
    decoded."""
    source_format: str = ""
    """Empty where it is not known."""

    def in_tiles(self) -> Work:
        """Return the work of a network, whose source pixels include rim and halos."""
        return self._in_tiles

    @cached_property
    def _in_tiles(self) -> Work:
        # Kept, because each width of a model asks for it.
        shown = self.source_pixels + self.halo_pixels
        return Work(shown, self.output_pixels, self.output_format)


def work_of(job: JobRequest, tiling: Tiling) -> Work:
    """Return the work of a job whose picture is cut by a tiling.

    Gateway and worker both count by this function, so promise and run agree.

    Raises ValueError for a job whose output is smaller than its input.
    """
    source_pixels = job.source_width * job.source_height
    size = job.source_height, job.source_width
    output_size = job.output_height, job.output_width
    return Work(
        source_pixels=source_pixels,
        output_pixels=job.output_width * job.output_height,
        output_format=job.output_format.value,
        halo_pixels=halo_pixels(size, output_size, tiling),
        source_bytes=_bytes_of(job, source_pixels),
        source_format=job.source_format.value if job.source_format else "",
    )


def _bytes_of(job: JobRequest, source_pixels: int) -> int:
    if job.source_bytes is None:
        return round(USUAL_BYTES_PER_PIXEL * source_pixels)
    return min(job.source_bytes, MOST_SAMPLE_BYTES * source_pixels)
