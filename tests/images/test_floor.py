"""Resampling of integer samples: against Pillow's floats, in strips, in grey, and stopped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from images import floor
from images.decode import decode
from images.floor import enlarge
from images.hidden_pixels import HiddenFill, hidden_pixels
from images.lanczos_weights import bands
from images.picture import Raster, Samples
from jobs.formats import ImageFormat
from tests.workers.by_planes import apart, filled, resampled
from tests.workers.workbench import LIMITS, a_job, photograph
from workers.pipeline import Progress, run_pipeline
from workers.upscale import upscale

Size = tuple[int, int]
Kind = type[np.uint8] | type[np.uint16]
sides, growths = st.integers(1, 40), st.integers(0, 90)


def ignore(part: float) -> None:
    assert 0 < part <= 1


def drawn(
    random: np.random.Generator, size: Size, channels: int, kind: Kind, hard: bool, seen: float
) -> Raster:
    """Noise, or hard edges between the extremes; a part of it `seen`."""
    largest = np.iinfo(kind).max
    samples: Samples = random.integers(0, largest, (*size, channels), kind, endpoint=True)
    if hard:
        samples = np.where(samples > largest // 2, largest, 0).astype(kind)
    if channels in (2, 4):
        samples[random.random(size) >= seen, -1] = 0
    return Raster(samples)


@settings(deadline=None, max_examples=120)
@given(
    size=st.tuples(sides, sides),
    growth=st.tuples(growths, growths),
    channels=st.integers(1, 4),
    kind=st.sampled_from((np.uint8, np.uint16)),
    hard=st.booleans(),
    seen=st.sampled_from((0.0, 0.1, 0.9, 1.0)),
    seed=st.integers(0, 1000),
)
def test_it_is_within_a_level_of_pillows_floats(
    size: Size, growth: Size, channels: int, kind: Kind, hard: bool, seen: float, seed: int
) -> None:
    raster = drawn(np.random.default_rng(seed), size, channels, kind, hard, seen)
    target = size[0] + growth[0], size[1] + growth[1]
    most = 2 if raster.has_alpha else 1  # a level of alpha is up to a level of colour times alpha
    assert apart(enlarge(raster, *target, ignore).samples, resampled(raster, *target)) <= most


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("target", [(160, 700), (200, 901), (731, 700)])
def test_strips_and_tiles_leave_no_seam(channels: int, target: Size) -> None:
    """The picture has several strips of rows and several tiles of columns."""
    random = np.random.default_rng(channels)
    raster = drawn(random, (160, 700), channels, np.uint8, hard=True, seen=0.7)
    most = 2 if raster.has_alpha else 1
    assert apart(enlarge(raster, *target, ignore).samples, resampled(raster, *target)) <= most


@pytest.mark.parametrize(("size", "larger"), [(1, 1), (1, 50), (7, 7), (40, 41), (300, 1111)])
def test_bands_make_every_pixel_once_of_pixels_of_the_picture(size: int, larger: int) -> None:
    output = list(bands(size, larger))
    assert [band.start for band in output] == [0, *(band.stop for band in output[:-1])]
    assert output[-1].stop == larger
    for band in output:
        assert 0 <= band.first < band.last <= size
        assert np.abs(band.weights.sum(axis=1) - 1).max() < 1e-6


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_flat_levels_stay_what_they_are(kind: Kind) -> None:
    levels = np.linspace(0, np.iinfo(kind).max, 86).astype(kind).reshape(-1, 1, 1, 1)
    for level in levels:
        output = enlarge(Raster(np.broadcast_to(level, (9, 7, 1))), 31, 30, ignore).samples
        assert (output == level).all()


@pytest.mark.parametrize("alpha", [False, True])
def test_grey_in_three_channels_stays_grey(alpha: bool) -> None:
    """The result equals that of one grey channel; hidden colours do not count."""
    grey: Samples = data.page()[60:120, 40:110, None]
    target, colour = (155, 201), np.repeat(grey, 3, axis=2)
    seen = np.full((60, 70, 1), 255, np.uint8)
    if alpha:
        seen[:20, :30], colour[:20, :30, 0] = 0, 255
        grey, colour = np.concatenate([grey, seen], 2), np.concatenate([colour, seen], 2)
    output = enlarge(Raster(colour), *target, ignore).samples
    alone = enlarge(Raster(grey), *target, ignore).samples
    assert (output[:, :, :3] == alone[:, :, :1]).all()
    assert (output[:, :, 3:] == alone[:, :, 1:]).all()


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(1, 150), st.integers(1, 9)),
    cut=st.tuples(st.integers(0, 149), st.integers(1, 150)),
    seed=st.integers(0, 1000),
)
def test_the_fill_of_some_rows_is_that_of_the_whole(size: Size, cut: Size, seed: int) -> None:
    raster = drawn(np.random.default_rng(seed), size, 4, np.uint8, hard=False, seen=0.05)
    hidden, alpha = hidden_pixels(raster), raster.alpha
    assert alpha is not None
    top, rows = cut[0] % size[0], slice(cut[0] % size[0], cut[0] % size[0] + cut[1])
    levels = raster.samples[rows].astype(np.float32)
    if hidden is not None:
        HiddenFill(raster, hidden).fill(levels, top)
    whole = np.moveaxis(filled(raster.colour, alpha), 0, 2)[rows] * 255
    assert np.abs(levels[:, :, :3] - whole).max() < 1e-3
    assert (levels[:, :, 3] == raster.samples[rows, :, 3]).all()


def test_progress_rises_to_one_and_stops_between_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        """An exception of the caller's."""

    raster = Raster(np.zeros((600, 20, 3), np.uint8))
    seen: list[float] = []
    enlarge(raster, 1200, 40, seen.append)
    assert seen == [1.0]
    monkeypatch.setattr(floor, "REPORT_PIXELS", 1)
    seen.clear()
    enlarge(raster, 1200, 40, seen.append)
    assert len(seen) > 4
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def stop(part: float) -> None:
        seen.append(part)
        raise Stop

    seen.clear()
    with pytest.raises(Stop):
        enlarge(raster, 1200, 40, stop)
    assert len(seen) == 1
    assert seen[0] < 1


@pytest.mark.parametrize("target", [(39, 48), (40, 47)])
def test_shrinking_is_refused(target: Size) -> None:
    with pytest.raises(ValueError, match="cannot shrink"):
        upscale(decode(photograph(), 10_000), *target, None, ignore)


def test_a_job_without_an_engine_is_made_of_the_files_samples() -> None:
    job = a_job(output_format=ImageFormat.PNG)
    output = run_pipeline(job, photograph(), LIMITS, lambda _: None, Progress())
    source = decode(photograph(), 10_000).pixels
    assert output.tiles == 1
    assert apart(decode(output.picture, 10_000).pixels.samples, resampled(source, 80, 96)) <= 1
