"""Enlarging a picture: sizes, tiles, grey, transparency, and stopping between tiles."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from images.metadata.facts import Metadata
from images.picture import FloatArray, PictureKind
from images.plane_resampling import lanczos
from models.catalog import SHIPPED
from models.geometry import AxisGrid
from scheduling.tiling import Tiling, tiling_of
from scheduling.work import work_of
from tests.support.networks import nearest
from tests.workers.workbench import a_job, default_entry, in_tiles, picture_of
from workers.loaded_model import LoadedModel
from workers.runtimes.onnx import OnnxSession
from workers.upscale import Engine, upscale

TOLERANCE = 1 / 255
Size = tuple[int, int]


class Nearest:
    """A network that repeats the nearest input pixel: exactly local, with a halo of 0."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.strengths: list[float] = []

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        self.shapes.append(image.shape)
        self.strengths.append(strength)
        return nearest(image, rows, columns)


def photograph(height: int = 60, width: int = 75) -> FloatArray:
    crop = data.astronaut()[20 : 20 + height, 150 : 150 + width]
    planes: FloatArray = np.divide(np.moveaxis(crop, 2, 0), 255, dtype=np.float32)
    return planes


def ignore(part: float) -> None:
    assert 0 < part <= 1


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    entry = default_entry()
    return LoadedModel(entry, OnnxSession(SHIPPED, entry, threads=1), tiling_of(entry))


@pytest.fixture(scope="module")
def shipped(model: LoadedModel) -> Engine:
    return model.at(model.entry.widths[0].width)


@pytest.mark.parametrize(
    "size", [(60, 76), (61, 75), (120, 150), (142, 178), (66, 300), (480, 600)]
)
def test_tiles_equal_the_whole(shipped: Engine, size: tuple[int, int]) -> None:
    picture = picture_of(photograph())
    whole = upscale(picture, *size, shipped, ignore)
    tiled = upscale(picture, *size, in_tiles(shipped, pixels=700), ignore)
    assert (whole.tiles, tiled.tiles) == (1, 8)
    assert whole.picture.pixels.colour.shape == (3, *size)
    assert np.abs(whole.picture.pixels.colour - tiled.picture.pixels.colour).max() <= TOLERANCE


@pytest.mark.parametrize("size", [(480, 600), (433, 599), (60, 600)])
def test_tiles_bounded_by_their_output_equal_the_whole(
    shipped: Engine, size: tuple[int, int]
) -> None:
    picture = picture_of(photograph())
    whole = upscale(picture, *size, shipped, ignore)
    tiled = upscale(picture, *size, in_tiles(shipped, output_pixels=40_000), ignore)
    assert whole.tiles == 1
    assert tiled.tiles >= size[0] * size[1] / 40_000
    assert np.abs(whole.picture.pixels.colour - tiled.picture.pixels.colour).max() <= TOLERANCE


def test_the_cost_is_predicted_from_the_pixels_shown_to_the_network() -> None:
    session = Nearest()
    engine = Engine(session, Tiling(7, 1500, 30_000, rim=5))
    upscale(picture_of(photograph()), 433, 599, engine, ignore)
    job = a_job(source_width=75, source_height=60, output_width=599, output_height=433)
    shown = sum(height * width for *_, height, width in session.shapes)
    assert shown == work_of(job, engine.tiling).in_tiles().source_pixels > 75 * 60


def test_a_halo_that_is_too_small_shows(shipped: Engine) -> None:
    """This proves that the comparison above can fail."""
    picture = picture_of(photograph())
    bare = in_tiles(shipped, rim=0)
    whole = upscale(picture, 120, 150, bare, ignore).picture.pixels.colour
    cut = in_tiles(bare, pixels=700, halo=0)
    assert (
        np.abs(whole - upscale(picture, 120, 150, cut, ignore).picture.pixels.colour).max()
        > TOLERANCE
    )


def test_a_network_makes_better_pictures_than_resampling(model: LoadedModel) -> None:
    truth = photograph(120, 150)
    small = picture_of(truth.reshape(3, 60, 2, 75, 2).mean(axis=(2, 4)))
    widest = model.at(model.entry.widths[-1].width)

    def error(engine: Engine | None) -> float:
        return float(
            np.mean((upscale(small, 120, 150, engine, ignore).picture.pixels.colour - truth) ** 2)
        )

    assert error(widest) < error(None)


def test_grey_runs_in_three_channels_and_stays_grey(shipped: Engine) -> None:
    grey = photograph().mean(axis=0, keepdims=True)
    made = upscale(picture_of(grey, kind=PictureKind.GREY), 90, 100, shipped, ignore).picture
    assert made.pixels.colour.shape == (1, 90, 100)
    assert np.abs(made.pixels.colour[0] - lanczos(grey[0], 90, 100)).mean() < 0.05


def test_metadata_is_kept() -> None:
    picture = picture_of(photograph(), kind=PictureKind.PALETTE)
    picture = replace(picture, icc=b"profile", metadata=Metadata(b"exif"))
    made = upscale(picture, 90, 100, None, ignore).picture
    assert (made.kind, made.pixels.bit_depth) == (PictureKind.PALETTE, 16)
    assert (made.icc, made.metadata) == (b"profile", Metadata(b"exif"))


@pytest.mark.parametrize("engine", [None, Engine(Nearest(), Tiling(pixels=1000))])
def test_transparency_is_resampled_and_in_range(engine: Engine | None) -> None:
    alpha = np.zeros((60, 75), np.float32)
    alpha[20:40, 30:50] = 1
    made = upscale(picture_of(photograph(), alpha), 131, 170, engine, ignore).picture
    assert made.pixels.alpha is not None
    assert made.pixels.alpha.shape == (131, 170)
    assert (made.pixels.alpha.min(), made.pixels.alpha.max()) == (0, 1)
    assert (made.pixels.colour.min() >= 0, made.pixels.colour.max() <= 1) == (True, True)


def test_hidden_colours_do_not_bleed_into_the_edge(shipped: Engine) -> None:
    """A green disc on transparent red, composed on black, shows no red."""
    y, x = np.mgrid[:64, :64]
    alpha = (np.hypot(y - 31.5, x - 31.5) < 20).astype(np.float32)
    colour = np.stack([1 - alpha, alpha, np.zeros_like(alpha)])
    for engine in (shipped, None):
        made = upscale(picture_of(colour, alpha), 150, 150, engine, ignore).picture
        assert made.pixels.alpha is not None
        assert (made.pixels.colour[0] * made.pixels.alpha).max() < 0.1


def test_progress_rises_to_one_tile_by_tile() -> None:
    seen: list[float] = []
    session = Nearest()
    upscale(picture_of(photograph()), 61, 75, Engine(session, Tiling(3, 1200)), seen.append)
    assert seen == sorted(seen)
    assert len(seen) == len(session.shapes) == 4
    assert seen[-1] == 1
    assert {shape[:2] for shape in session.shapes} == {(1, 3)}


def test_a_run_can_be_stopped_between_tiles() -> None:
    class Stop(Exception):
        """What a caller may raise."""

    def stop(part: float) -> None:
        raise Stop(part)

    session = Nearest()
    with pytest.raises(Stop):
        upscale(picture_of(photograph()), 61, 75, Engine(session, Tiling(3, 1200)), stop)
    assert len(session.shapes) == 1


@pytest.mark.parametrize(("tile_pixels", "released"), [(10_000, 0), (1200, 1)])
@pytest.mark.parametrize("stopped", [False, True])
def test_memory_is_released_after_several_tiles(
    tile_pixels: int, released: int, stopped: bool
) -> None:
    class Keeping(Nearest):
        released = 0

        def release(self) -> None:
            self.released += 1

    def stop(part: float) -> None:
        if stopped:
            raise KeyError(part)

    session = Keeping()
    with contextlib.suppress(KeyError):
        upscale(picture_of(photograph()), 61, 75, Engine(session, Tiling(3, tile_pixels)), stop)
    assert session.released == released


def half_hidden() -> FloatArray:
    """Transparency that hides the upper half."""
    alpha = np.ones((60, 75), np.float32)
    alpha[:30] = 0
    return alpha


@pytest.mark.parametrize("engine", [None, Engine(Nearest(), Tiling(pixels=1000))])
@pytest.mark.parametrize("alpha", [None, half_hidden()])
def test_a_picture_of_the_requested_size_is_returned_unchanged(
    engine: Engine | None, alpha: FloatArray | None
) -> None:
    picture = picture_of(photograph(), alpha)
    seen: list[float] = []
    made = upscale(picture, 60, 75, engine, seen.append, strength=0.5)
    assert made.picture is picture
    assert (made.untouched, made.tiles, seen) == (True, 1, [1.0])


@pytest.mark.parametrize("size", [(60, 76), (61, 75)])
def test_a_picture_that_grows_along_one_axis_is_run(size: Size) -> None:
    session = Nearest()
    made = upscale(picture_of(photograph()), *size, Engine(session), ignore)
    assert (made.untouched, len(session.shapes)) == (False, 1)
    assert made.picture.pixels.colour.shape == (3, *size)


def test_strength_reaches_a_network_that_takes_it() -> None:
    session = Nearest()
    engine = Engine(session, takes_strength=True)
    picture = picture_of(photograph())
    assert not upscale(picture, 60, 75, engine, ignore, strength=0.25).untouched
    assert upscale(picture, 60, 75, engine, ignore).untouched
    upscale(picture, 61, 75, engine, ignore, strength=0.5)
    assert session.strengths == [0.25, 0.5]


def test_shrinking_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot tile"):
        upscale(picture_of(photograph()), 59, 75, Engine(Nearest()), ignore)
