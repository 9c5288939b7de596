"""Frames of animated PNG of 16 bits and animated AVIF of 10 and 12 bits keep their depth."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from images.avif_by_libavif import libavif_found
from images.containers.avif_tracks import SIZE_AT
from images.decode import decode
from images.memory import stage_bytes
from images.opening import read_header
from images.sandbox.decoder import SandboxedDecoder, supported
from jobs.errors import CorruptImage, ImageTooLarge, InvalidRequest
from jobs.formats import ImageFormat
from tests.support.moving_pictures import Deep, Shown, animated_avif, animated_png

LIMIT = 1_000_000
WIDTH, HEIGHT = 32, 24
NONE, BACKGROUND, PREVIOUS = 0, 1, 2
REPLACE, OVER = 0, 1
needs_libavif = pytest.mark.skipif(not libavif_found(), reason="this installation lacks libavif")


def noise(seed: int, channels: int = 4, height: int = HEIGHT, width: int = WIDTH) -> Deep:
    shape = (height, width, channels)[: 2 if channels == 1 else 3]
    return np.random.default_rng(seed).integers(0, 65536, shape, np.uint16)


def shallow(samples: Deep, bits: int) -> Deep:
    """Return samples of 16 bits as those of fewer."""
    return (samples >> (16 - bits)).astype(np.uint16)


def shown(data: bytes, frame: int) -> NDArray[Any]:
    header, picture = read_header(data, LIMIT, frame), decode(data, LIMIT, frame)
    assert (header.width, header.height, header.frame) == (WIDTH, HEIGHT, frame)
    assert header.bit_depth == picture.pixels.bit_depth == 16
    assert picture.pixels.has_alpha <= header.transparent
    assert header.sample_bytes >= picture.pixels.samples[0, 0].nbytes
    return picture.pixels.samples


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("hidden", [False, True])
def test_whole_frames_of_a_png_are_those_that_were_drawn(channels: int, hidden: bool) -> None:
    frames = [noise(seed, channels) for seed in range(3)]
    other = noise(9, channels) if hidden else None
    data = animated_png((WIDTH, HEIGHT), [Shown(frame) for frame in frames], other)
    for number, frame in enumerate(frames):
        samples = shown(data, number)
        expected = frame if frame.ndim == 3 else frame[:, :, None]
        assert (samples[:, :, : expected.shape[2]] == expected).all()
        if channels in (1, 3):
            assert (samples[:, :, -1] == 65535).all()
    with pytest.raises(InvalidRequest, match="3 frames"):
        decode(data, LIMIT, 3)


def over(upper: list[int], lower: list[int]) -> list[int]:
    """One pixel over another by exact fractions (PNG third edition, 13.16)."""
    alpha, below = Fraction(upper[-1], 65535), Fraction(lower[-1], 65535)
    total = alpha + below * (1 - alpha)
    if total == 0:
        return [0] * len(upper)
    mixed = [
        (alpha * u + below * (1 - alpha) * v) / total
        for u, v in zip(upper[:-1], lower[:-1], strict=True)
    ]
    return [round(value) for value in (*mixed, 65535 * total)]


def test_a_frame_is_laid_over_the_one_before() -> None:
    below, above = noise(1), noise(2, height=10, width=12)
    above[0, 0, 3], above[0, 1, 3], below[2, 5, 3] = 0, 65535, 0
    data = animated_png((WIDTH, HEIGHT), [Shown(below), Shown(above, 5, 2, blend=OVER)])
    samples = shown(data, 1)
    expected = below.copy()
    for y, x in np.ndindex(10, 12):
        expected[y + 2, x + 5] = over(above[y, x].tolist(), below[y + 2, x + 5].tolist())
    assert (samples == expected).all()


@pytest.mark.parametrize("channels", [2, 4])
def test_what_becomes_of_a_frame_is_as_it_says(channels: int) -> None:
    small = [noise(seed, channels, 8, 9) for seed in range(4)]
    first = noise(7, channels)
    frames = [
        Shown(first),
        Shown(small[0], 1, 2, BACKGROUND),
        Shown(small[1], 20, 3, PREVIOUS),
        Shown(small[2], 4, 5),
    ]
    data = animated_png((WIDTH, HEIGHT), frames)
    canvas = first.copy()
    canvas[2:10, 1:10] = small[0]
    assert (shown(data, 1) == canvas).all()
    canvas[2:10, 1:10] = 0
    cleared = canvas.copy()
    canvas[3:11, 20:29] = small[1]
    assert (shown(data, 2) == canvas).all()
    cleared[5:13, 4:13] = small[2]
    assert (shown(data, 3) == cleared).all()


def test_a_first_frame_that_is_to_be_restored_is_cleared() -> None:
    frames = [Shown(noise(1), disposal=PREVIOUS), Shown(noise(2, height=4, width=4), 3, 3)]
    samples = shown(animated_png((WIDTH, HEIGHT), frames), 1)
    assert (samples[3:7, 3:7] == frames[1].samples).all()
    samples[3:7, 3:7] = 0
    assert not samples.any()


def test_damaged_frames_of_a_png_are_refused() -> None:
    frames = [Shown(noise(1)), Shown(noise(2, height=4, width=4), 3, 3)]
    outside = [frames[0], Shown(noise(2, height=4, width=4), WIDTH - 3, 3)]
    whole = animated_png((WIDTH, HEIGHT), frames)
    at = whole.index(b"fdAT") + 20
    flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    cut = whole[: whole.index(b"fdAT") + 20]
    for data in (animated_png((WIDTH, HEIGHT), outside), flipped, cut):
        assert (decode(data, LIMIT, 0).pixels.samples == frames[0].samples).all()
        with pytest.raises(CorruptImage):
            decode(data, LIMIT, 1)


@needs_libavif
@pytest.mark.parametrize(("channels", "bits"), [(3, 10), (4, 10), (3, 12)])
def test_frames_of_an_avif_are_those_that_were_drawn(channels: int, bits: int) -> None:
    frames = [shallow(noise(seed, channels), bits) for seed in range(3)]
    data = animated_avif(frames, bits)
    for number, frame in enumerate(frames):
        samples = shown(data, number)
        expected = np.rint(frame * (65535 / (2**bits - 1)))
        assert (samples == expected).all()


@needs_libavif
def test_an_avif_whose_frames_are_larger_than_it_says_is_refused() -> None:
    data = animated_avif([shallow(noise(seed, 3), 10) for seed in range(2)], 10)
    with pytest.raises(ImageTooLarge):
        read_header(data, WIDTH * HEIGHT - 1, 0)
    entry = data.index(b"av01", data.index(b"stsd")) + 4 + SIZE_AT
    lying = data[:entry] + bytes([0, 4, 0, 4]) + data[entry + 4 :]
    with pytest.raises(CorruptImage):
        decode(lying, LIMIT, 0)
    for cut in (data[:-40], data[:-1]):
        with pytest.raises(CorruptImage):
            decode(cut, LIMIT, 1)


@needs_libavif
@pytest.mark.skipif(not supported(), reason="the sandbox needs Linux")
def test_the_confined_decoder_makes_the_same_frames() -> None:
    avif = animated_avif([shallow(noise(seed, 4), 10) for seed in range(2)], 10)
    png = animated_png((WIDTH, HEIGHT), [Shown(noise(1)), Shown(noise(2), blend=OVER)])
    decoder = SandboxedDecoder(LIMIT)
    try:
        for data in (avif, png):
            made = decoder.within(60.0)(data, LIMIT, 1)
            assert (made.pixels.samples == decode(data, LIMIT, 1).pixels.samples).all()
    finally:
        decoder.close()


def test_memory_of_deep_frames_is_counted() -> None:
    still, moving = (
        animated_png((WIDTH, HEIGHT), [Shown(noise(seed)) for seed in range(count)])
        for count in (1, 2)
    )
    sizes = WIDTH, HEIGHT, ImageFormat.PNG
    one = stage_bytes(read_header(still, LIMIT, 0), *sizes)
    more = stage_bytes(read_header(moving, LIMIT, 0), *sizes)
    assert more.decoding - one.decoding >= 2 * 8 * WIDTH * HEIGHT
