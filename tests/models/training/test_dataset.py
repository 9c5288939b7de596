"""Training pictures: what is drawn is real, repeatable, and degraded as Pillow would."""

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.config import Sampling
from models.training.dataset import READERS, Photographs, list_images, training_files
from models.training.degradation import bicubic_downsample


@pytest.fixture
def folder(tmp_path):
    """Three drawn pictures of different sizes."""
    rng = np.random.default_rng(0)
    for name, size in (("a", (200, 260)), ("b", (180, 190)), ("small", (40, 50))):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def test_a_batch_repeats_with_its_seed_and_is_a_real_crop(folder):
    photographs = Photographs(list_images([folder]))
    assert len(photographs) == 2  # the small one cannot give a patch
    sampling = Sampling(batch=4, patch=20)
    draws = [photographs.draw(sampling, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*draws, strict=True))
    small, target = draws[0]
    assert small.shape == (4, 3, 20, 20)
    torch.testing.assert_close(bicubic_downsample(target, (20, 20)), small)
    other = photographs.draw(sampling, torch.Generator().manual_seed(6))
    assert not torch.equal(other[0], small)


def test_scales_cover_the_range_and_may_differ_by_axis(folder):
    photographs = Photographs(list_images([folder]))
    generator = torch.Generator().manual_seed(0)
    sampling = Sampling(batch=1, patch=20)
    sizes = [photographs.draw(sampling, generator)[1].shape[2:] for _ in range(200)]
    heights = [h / 20 for h, _ in sizes]
    assert min(heights) >= 1.1
    assert max(heights) <= 4.0
    assert min(heights) < 1.5
    assert max(heights) > 3.5
    apart = sum(h != w for h, w in sizes) / 200
    assert 0.03 < apart < 0.3


def test_missing_and_empty_folders_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        list_images([tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match="no image"):
        list_images([tmp_path])


def test_pictures_that_are_all_too_small_raise(folder):
    with pytest.raises(ValueError, match="at least 1000"):
        Photographs(list_images([folder]), minimum=1000)


def test_crops_reach_every_corner_and_all_eight_turns(tmp_path):
    rows, columns = np.mgrid[:24, :31].astype(np.uint8)
    pixels = np.stack([rows * 8, columns * 8, np.zeros_like(rows)], -1)
    Image.fromarray(pixels).save(tmp_path / "ramp.png")
    photographs = Photographs(list_images([tmp_path]), minimum=20)
    sampling = Sampling(batch=400, patch=20, low=1, high=1, anchors=(1,), anchor_probability=1)
    _, target = photographs.draw(sampling, torch.Generator().manual_seed(0))
    levels = (target * 255).round().int()
    corners = {(int(c[0].min()), int(c[1].min())) for c in levels}
    assert corners == {(8 * i, 8 * j) for i in range(5) for j in range(12)}
    steps = torch.stack((levels[:, :2, 1, 0], levels[:, :2, 0, 1]), 1) - levels[:, None, :2, 0, 0]
    turns = {tuple(turn.flatten().tolist()) for turn in steps}
    assert len(turns) == 8


def test_validation_images_are_spread_over_the_first_folder(tmp_path):
    for folder, count in (("first", 20), ("second", 3)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            (tmp_path / folder / f"{i:02}.png").write_bytes(f"{folder} {i}".encode())
    first, second = tmp_path / "first", tmp_path / "second"
    files, held = training_files([first, second], 4)
    assert [f.relative_to(tmp_path).as_posix() for f in held] == [
        f"first/{i:02}.png" for i in (0, 5, 10, 15)
    ]
    assert sorted(files + held) == sorted([*first.iterdir(), *second.iterdir()])


def test_a_validation_folder_stays_the_same_and_no_copy_of_it_is_trained_on(tmp_path):
    for folder in ("held", "one", "two"):
        (tmp_path / folder).mkdir()
        for i in range(4):
            (tmp_path / folder / f"{i}.png").write_bytes(f"{folder} {i}".encode())
    copied = tmp_path / "two" / "under another name.png"
    copied.write_bytes((tmp_path / "held" / "2.png").read_bytes())
    packs = [training_files([tmp_path / p], 2, tmp_path / "held") for p in ("one", "two")]
    assert packs[0][1] == packs[1][1] == [tmp_path / "held" / f"{i}.png" for i in (0, 2)]
    assert [len(files) for files, _ in packs] == [4, 4]
    assert copied not in packs[1][0]
    assert training_files([tmp_path / "held"], 99)[0] == []


def test_reading_stops_when_the_time_is_over_with_what_there_is(tmp_path):
    pixels = np.zeros((20, 20, 3), np.uint8)
    count = 4 * READERS + 3
    for i in range(count):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    files = list_images([tmp_path])
    read: list[int] = []
    whole = Photographs(files, minimum=16, on_read=read.append)
    assert (len(whole), read) == (count, [4 * READERS, count])
    cut = Photographs(files, minimum=16, stop_at=0.0)
    assert len(cut) == 4 * READERS


def test_a_part_of_the_crops_is_one_colour_and_half_of_those_a_corner_of_the_cube(folder):
    photographs = Photographs(list_images([folder]))
    sampling = Sampling(batch=200, patch=8, low=2, high=2, anchors=(2,), flat_probability=0.5)
    small, target = photographs.draw(sampling, torch.Generator().manual_seed(1))
    flat = (target.amax((2, 3)) == target.amin((2, 3))).all(1)
    assert 0.35 < flat.float().mean() < 0.65
    corner = ((target[flat] == 0) | (target[flat] == 1)).all(3).all(2).all(1)
    assert 0.3 < corner.float().mean() < 0.7
    torch.testing.assert_close(small[flat][..., 0, 0], target[flat][..., 0, 0])


def test_without_one_coloured_crops_the_others_are_drawn_as_ever(folder):
    photographs = Photographs(list_images([folder]))
    some, none = (Sampling(batch=30, patch=8, flat_probability=p) for p in (0.5, 0.0))
    (_, with_flat), (_, without) = (
        photographs.draw(sampling, torch.Generator().manual_seed(1)) for sampling in (some, none)
    )
    kept = (with_flat == without).flatten(1).all(1)
    assert 5 < kept.sum() < 25
