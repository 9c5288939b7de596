"""Strength: 0 for clean pictures, 1 for JPEG at quality 30, and convertible back to a quality."""

import itertools

import pytest

from models.strength import WORST_QUALITY, quality_of_strength, strength_of_quality


def test_qualities_at_both_ends_have_strengths_0_and_1():
    assert strength_of_quality(100) == 0
    assert strength_of_quality(WORST_QUALITY) == 1
    assert strength_of_quality(5) == 1
    assert quality_of_strength(0) == 100
    assert quality_of_strength(1) == WORST_QUALITY


def test_it_falls_with_quality_without_a_jump():
    strengths = [strength_of_quality(q / 4) for q in range(4 * WORST_QUALITY, 397)]
    steps = [a - b for a, b in itertools.pairwise(strengths)]
    assert all(0 < step < 0.02 for step in steps)


@pytest.mark.parametrize("quality", range(WORST_QUALITY, 101))
def test_every_quality_is_found_again_by_its_strength(quality):
    assert quality_of_strength(strength_of_quality(quality)) == quality


def test_steps_four_times_as_coarse_are_twice_as_strong():
    assert strength_of_quality(50) == pytest.approx(2 * strength_of_quality(87.5))
