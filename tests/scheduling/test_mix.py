"""The mix of recent pictures: their cost at each price, over that of their narrowest networks."""

from __future__ import annotations

import pytest

from scheduling.mix import RECENT, Mix
from scheduling.options import Option
from scheduling.rungs import FLOOR
from tests.scheduling.test_worth import options_of

SMALL = options_of((10, 30.0), (20, 31.0), (40, 31.5))
LARGE = options_of((100, 30.0), (200, 31.0), (400, 31.5))


def mix_of(*pictures: tuple[Option, ...]) -> Mix:
    mix = Mix()
    for options in pictures:
        mix.add(options)
    return mix


def test_a_mix_without_pictures_is_empty():
    assert not Mix()
    assert mix_of(SMALL)


@pytest.mark.parametrize(
    ("price", "stretch"),
    [
        (1e-9, 440 / 110),  # both at their widest
        (0.02, (40 + 100) / 110),  # 0.0025 dB a ms are too little for the large one, 0.01 too
        (0.009, (40 + 200) / 110),
        (0.05, (20 + 100) / 110),
        (0.2, 1.0),
        (1e9, 1.0),
    ],
)
def test_work_grows_by_what_each_picture_takes_at_the_price(price, stretch):
    assert mix_of(SMALL, LARGE).stretch_at(price) == pytest.approx(stretch, rel=0.02)


def test_resampling_is_no_part_of_the_mix():
    floor = Option(FLOOR, 1.0, 1.2, 27.0)
    assert mix_of((floor, *SMALL)).stretch_at(1e-9) == pytest.approx(4.0)


def test_pictures_of_long_ago_are_forgotten():
    mix = mix_of(LARGE, *[SMALL[:1]] * (20 * RECENT))
    assert mix.stretch_at(1e-9) == pytest.approx(1.0, abs=1e-3)
