"""The work of a job: its sizes and the halos of its tiles."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from jobs.formats import ImageFormat
from jobs.job import Job
from scheduling.tiling import Tiling
from scheduling.work import Work, work_of


def test_a_job_that_fits_has_no_halo(make_job: Callable[..., Job]) -> None:
    job = make_job(output_format=ImageFormat.WEBP)
    assert work_of(job, Tiling(halo=10)) == Work(40 * 30, 80 * 60, "webp", source_bytes=600)


def test_a_job_in_tiles_has_the_halos_of_their_inner_edges(make_job: Callable[..., Job]) -> None:
    job = make_job(source_width=40, source_height=20, output_width=80, output_height=40)
    for tiling in (Tiling(5, pixels=400), Tiling(5, output_pixels=1600)):  # two of 20 x 20
        work = work_of(job, tiling)
        assert work == Work(800, 3200, "png", halo_pixels=2 * 5 * 20, source_bytes=400)
        assert work.in_tiles() == Work(1000, 3200, "png")


def test_a_rim_is_counted_on_every_side(make_job: Callable[..., Job]) -> None:
    work = work_of(make_job(), Tiling(halo=10, rim=3))
    assert work.halo_pixels == (40 + 6) * (30 + 6) - 40 * 30


def test_bytes_count_as_far_as_they_can_be_pixels(make_job: Callable[..., Job]) -> None:
    job = make_job(source_format=ImageFormat.TIFF, source_bytes=5000)
    work = work_of(job, Tiling())
    assert (work.source_format, work.source_bytes) == ("tiff", 5000)
    assert work_of(replace(job, source_bytes=10**7), Tiling()).source_bytes == 8 * 40 * 30


def test_only_a_larger_picture_can_be_made(make_job: Callable[..., Job]) -> None:
    with pytest.raises(ValueError, match="cannot tile"):
        work_of(make_job(output_width=39), Tiling())
