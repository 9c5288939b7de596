"""The planned size is the requested one, for any picture and any kind of request."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.header import ImageHeader
from images.limits import Limits
from jobs.errors import (
    ImageTooLarge,
    InvalidRequest,
    ModelNotTrained,
    OutputTooLarge,
    UnknownModel,
    UnknownWidth,
)
from jobs.formats import ImageFormat
from jobs.job import JobRequest
from models.catalog import Catalog
from models.strength import strength_of_quality
from scheduling.planning import Budgets, build_job, output_pixels
from scheduling.request import UpscaleRequest
from tests.service.harness import MODEL, UNSERVED, model_entry

ENTRY = model_entry(MODEL)
CATALOG = Catalog(default=MODEL, models=(ENTRY, model_entry(UNSERVED)))

sizes = st.integers(1, 20_000)
scales = st.floats(1, 8)

LIMITS = Limits(25_000_000, 100_000_000)
BUDGETS = Budgets(1.0, 600_000.0)


def planned(wanted: UpscaleRequest, image_format: ImageFormat = ImageFormat.PNG) -> JobRequest:
    header = ImageHeader(image_format, 20, 12, 1, 8, "RGB")
    return build_job("id", wanted, header, CATALOG, LIMITS, Budgets(1234.0, 600_000.0))


def test_a_job_has_format_and_bytes_of_its_source() -> None:
    header = ImageHeader(ImageFormat.HEIC, 20, 12, 1, 8, "RGB")
    wanted, terms = UpscaleRequest(scale=2), (CATALOG, LIMITS, BUDGETS)
    sent = build_job("id", wanted, header, *terms, source_bytes=1234)
    described = build_job("id", wanted, header, *terms)
    assert (sent.source_format, sent.source_bytes) == (ImageFormat.HEIC, 1234)
    assert (described.source_format, described.source_bytes) == (ImageFormat.HEIC, None)


@settings(deadline=None)
@given(width=sizes, height=sizes, scale=scales)
def test_output_is_scale_times_size_rounded(width: int, height: int, scale: float) -> None:
    out = output_pixels(UpscaleRequest(scale=scale), width, height, ENTRY)
    assert out == (round(scale * width), round(scale * height))
    assert out[0] >= width
    assert out[1] >= height


@settings(deadline=None)
@given(width=sizes, height=sizes, scale_w=scales, scale_h=scales)
def test_each_axis_has_its_own_scale(
    width: int, height: int, scale_w: float, scale_h: float
) -> None:
    wanted = UpscaleRequest(scale_w=scale_w, scale_h=scale_h)
    out = output_pixels(wanted, width, height, ENTRY)
    assert out == (round(scale_w * width), round(scale_h * height))


@settings(deadline=None)
@given(width=sizes, height=sizes, scale=scales)
def test_one_side_alone_keeps_the_aspect_ratio(width: int, height: int, scale: float) -> None:
    target = round(scale * width)
    out = output_pixels(UpscaleRequest(width=target), width, height, ENTRY)
    assert out[0] == target
    assert abs(out[1] - target * height / width) <= 0.5 + 1e-6
    assert height <= out[1] <= 8 * height


@settings(deadline=None)
@given(
    size=sizes,
    scale=st.floats(0, 1, exclude_min=True, exclude_max=True)
    | st.floats(8, 1e308, exclude_min=True),
)
def test_other_scales_are_refused(size: int, scale: float) -> None:
    with pytest.raises(InvalidRequest, match="from 1 to 8"):
        output_pixels(UpscaleRequest(scale=scale), size, size, ENTRY)


def test_defaults() -> None:
    job = planned(UpscaleRequest(scale=2), ImageFormat.WEBP)
    # No model: the service chooses among all when it knows the slack.
    assert (job.model, job.pinned_width, job.output_format) == (None, None, ImageFormat.WEBP)
    assert (job.budget_ms, job.quality, job.on_miss.value) == (1234.0, None, "degrade")


def test_strength_is_the_requested_one_or_that_of_the_file() -> None:
    damaged = ImageHeader(ImageFormat.JPEG, 20, 12, 1, 8, "RGB", jpeg_quality=30)

    def strength(header: ImageHeader, asked: float | None) -> float:
        wanted = UpscaleRequest(scale=2, strength=asked)
        return build_job("id", wanted, header, CATALOG, LIMITS, BUDGETS).strength

    assert strength(damaged, None) == 1.0
    assert strength(replace(damaged, jpeg_quality=75), None) == round(strength_of_quality(75), 2)
    assert strength(replace(damaged, jpeg_quality=None), None) == 0.0
    assert strength(replace(damaged, jpeg_quality=100), None) == 0.0
    assert [strength(damaged, asked) for asked in (0.0, 0.5, 1.0)] == [0.0, 0.5, 1.0]


def test_png_has_no_quality() -> None:
    assert planned(UpscaleRequest(scale=2, quality=50)).quality is None
    jpeg = UpscaleRequest(scale=2, quality=50, format=ImageFormat.JPEG)
    assert planned(jpeg).quality == 50


@pytest.mark.parametrize(
    ("asked", "quality", "output", "source_quality", "expected"),
    [
        (None, None, None, None, True),
        (None, None, "webp", None, True),
        (None, None, None, 80.0, False),
        (None, 90, None, None, False),
        (None, None, "jxl", None, False),
        (None, None, "png", None, False),
        (False, None, None, None, False),
        (True, None, None, 80.0, True),
        (True, None, "jxl", 80.0, True),
        (True, None, "png", 80.0, False),
    ],
)
def test_a_lossless_picture_stays_lossless_in_its_own_format(
    asked: bool | None,
    quality: int | None,
    output: str | None,
    source_quality: float | None,
    expected: bool,
) -> None:
    header = ImageHeader(ImageFormat.WEBP, 20, 12, 1, 8, "RGB", jpeg_quality=source_quality)
    wanted = UpscaleRequest(
        scale=2, lossless=asked, quality=quality, format=output and ImageFormat(output)
    )
    assert build_job("j", wanted, header, CATALOG, LIMITS, BUDGETS).lossless == expected


@pytest.mark.parametrize("output", ["jpeg", "avif"])
def test_no_loss_is_refused_where_a_format_cannot(output: str) -> None:
    with pytest.raises(InvalidRequest, match="no lossless form"):
        planned(UpscaleRequest(scale=2, lossless=True, format=ImageFormat(output)))
    with pytest.raises(ValueError, match="not both"):
        UpscaleRequest(scale=2, lossless=True, quality=90)


def test_pinned_width_is_the_catalogs_value() -> None:
    pinned = planned(UpscaleRequest(scale=2, anysr_width=0.5000000001))
    assert (pinned.model, pinned.pinned_width) == (MODEL, 0.5)  # a width is one of a model's


def test_an_invalid_request_is_refused() -> None:
    with pytest.raises(UnknownModel, match=MODEL):
        planned(UpscaleRequest(scale=2, model="x"))
    with pytest.raises(UnknownWidth, match=r"0\.25, 0\.5, 1"):
        planned(UpscaleRequest(scale=2, anysr_width=0.3))
    with pytest.raises(InvalidRequest, match="at most 600000"):
        planned(UpscaleRequest(scale=2, latency_budget_ms=600_001))
    header = ImageHeader(ImageFormat.PNG, 4000, 4000, 1, 8, "RGB")
    with pytest.raises(OutputTooLarge, match="32000 x 32000"):
        build_job("id", UpscaleRequest(scale=8), header, CATALOG, LIMITS, BUDGETS)


@pytest.mark.parametrize(
    ("output_format", "width", "fitting"),
    [
        (ImageFormat.WEBP, 16_383, "png or jpeg or avif or jxl or tiff"),
        (ImageFormat.JPEG, 65_501, "png or jxl"),
        (ImageFormat.AVIF, 32_769, "png or jpeg or jxl or tiff"),
        (ImageFormat.JXL, 262_145, "png"),
    ],
)
def test_a_side_that_the_format_cannot_hold_is_refused_with_formats_that_can(
    output_format: ImageFormat, width: int, fitting: str
) -> None:
    header = ImageHeader(output_format, width // 4, 12, 1, 8, "RGB")

    def job_of(wanted: UpscaleRequest) -> JobRequest:
        return build_job("id", wanted, header, CATALOG, LIMITS, BUDGETS)

    assert job_of(UpscaleRequest(width=width - 1, height=12)).output_width == width - 1
    refused = f"{width} x 12 .* {output_format} holds at most {width - 1} .* format {fitting}."
    with pytest.raises(OutputTooLarge, match=refused) as refusal:
        job_of(UpscaleRequest(width=width, height=12))
    assert refusal.value.details == {"max_side": width - 1}
    assert job_of(UpscaleRequest(width=width, height=12, format=ImageFormat.PNG))


def test_an_output_that_takes_too_much_memory_is_refused_with_what_would_fit() -> None:
    header = ImageHeader(ImageFormat.PNG, 4000, 4000, 1, 8, "RGBA", transparent=True)
    limits = replace(LIMITS, job_bytes=1_000_000_000)
    as_avif = UpscaleRequest(scale=2, format=ImageFormat.AVIF)
    with pytest.raises(OutputTooLarge) as refusal:
        build_job("id", as_avif, header, CATALOG, limits, BUDGETS)
    assert refusal.value.details == {"max_job_bytes": 1_000_000_000}
    assert "8000 x 8000 pixels as avif takes" in refusal.value.detail
    size = re.search(
        r"at most (\d+) x (\d+) pixels, or for the format (.*)\.", refusal.value.detail
    )
    assert size is not None
    assert size[3] == "png or jpeg or tiff"
    width, height = int(size[1]), int(size[2])
    smaller = as_avif.model_copy(update={"scale": None, "width": width, "height": height})
    assert build_job("id", smaller, header, CATALOG, limits, BUDGETS).output_width == width
    as_png = as_avif.model_copy(update={"format": ImageFormat.PNG})
    assert build_job("id", as_png, header, CATALOG, limits, BUDGETS).output_width == 8000


def test_a_source_that_takes_too_much_memory_at_any_size_is_refused() -> None:
    header = ImageHeader(ImageFormat.PNG, 4000, 4000, 1, 16, "RGBA", transparent=True)
    limits = replace(LIMITS, job_bytes=100_000_000)
    with pytest.raises(ImageTooLarge, match=r"4000 x 4000 pixels takes .* Send a smaller one"):
        build_job("id", UpscaleRequest(scale=2), header, CATALOG, limits, BUDGETS)


def test_a_network_without_weights_has_an_error_of_its_own() -> None:
    with pytest.raises(ModelNotTrained, match="anysr train --network edsr-srno"):
        planned(UpscaleRequest(scale=2, model="edsr-srno"))
    with pytest.raises(UnknownModel):
        planned(UpscaleRequest(scale=2, model="lighter"))
