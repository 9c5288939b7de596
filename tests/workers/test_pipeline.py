"""From bytes to bytes: a job's picture in every format."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from images.decode import decode
from images.encode import encode, writable_formats
from images.limits import Limits
from images.picture import Picture, Raster
from jobs.formats import ImageFormat
from jobs.job import MetadataChoice
from tests.support.marked_pictures import (
    CAMERA,
    HEIGHT,
    NOTICE,
    WIDTH,
    XMP_NOTICE,
    XMP_TITLE,
    jpeg,
    profile,
)
from tests.workers.workbench import a_job, photograph
from workers.pipeline import Progress, run_pipeline

LIMITS = Limits(1_000_000, 1_000_000)


@pytest.mark.parametrize(("source", "output"), list(product(writable_formats(), repeat=2)))
def test_every_format_becomes_every_other(source: ImageFormat, output: ImageFormat) -> None:
    picture = decode(photograph(), 1_000_000)
    job = a_job(output_format=output, quality=95 if output.lossy else None)
    made = run_pipeline(job, encode(picture, source, 95), LIMITS, lambda _: None, Progress())
    larger = decode(made.picture, 1_000_000)
    assert (larger.width, larger.height) == (96, 80)
    same = run_pipeline(a_job(), photograph(), LIMITS, lambda _: None, Progress())
    expected = decode(same.picture, 1_000_000).pixels.samples.astype(int)
    assert np.abs(larger.pixels.samples.astype(int) - expected).mean() < 8


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (None, {NOTICE, XMP_NOTICE}),
        (MetadataChoice.COPYRIGHT, {NOTICE, XMP_NOTICE}),
        (MetadataChoice.KEEP, {NOTICE, XMP_NOTICE, CAMERA, XMP_TITLE}),
        (MetadataChoice.NONE, set()),
    ],
)
@pytest.mark.parametrize("output", writable_formats())
def test_metadata_is_as_the_job_chooses(
    output: ImageFormat, choice: MetadataChoice | None, found: set[str]
) -> None:
    chosen = {} if choice is None else {"metadata": choice}
    sizes = {"source_width": WIDTH, "source_height": HEIGHT}
    job = a_job(output_format=output, output_width=WIDTH, output_height=HEIGHT, **sizes, **chosen)
    file = jpeg("RGB", icc=profile())
    made = run_pipeline(job, file, LIMITS, lambda _: None, Progress()).picture
    words = {NOTICE, XMP_NOTICE, CAMERA, XMP_TITLE}
    assert {word for word in words if word.encode() in made} == found
    assert decode(made, 1_000_000).icc == profile()


@pytest.mark.parametrize("output", [f for f in writable_formats() if f.facts.keeps_16_bits])
@pytest.mark.parametrize("source", [f for f in writable_formats() if f.facts.keeps_16_bits])
def test_sixteen_bits_stay_sixteen(source: ImageFormat, output: ImageFormat) -> None:
    y, x = np.mgrid[:40, :48]
    deep = np.stack([x, y, x + y, 2 * y], 2).astype(np.uint16) * 600 + 7
    data = encode(Picture(Raster(deep)), source)
    made = run_pipeline(a_job(output_format=output), data, LIMITS, lambda _: None, Progress())
    larger = decode(made.picture, 1_000_000).pixels
    assert (larger.bit_depth, larger.has_alpha) == (16, True)
    assert np.abs(larger.samples[::2, ::2].astype(int) - deep).mean() < 1500
