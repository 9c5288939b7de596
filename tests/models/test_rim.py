"""The measured rim: as large as a network needs, and no larger."""

import numpy as np
import pytest

from models.rim import COLOURS, NOT_WORSE, TOLERANCE, find_rim, flat_error
from tests.support.networks import nearest


def blackened(reach, off=0.0, output_reach=0, calls=None):
    """A network that answers the nearest input pixel, black where the frame is nearer than `reach`
    (or the output's, than `output_reach`), and everything wrong by `off` levels."""

    def run(image, rows, columns):
        if calls is not None:
            calls.append(image.shape)
        edged = image.copy()
        for axis in (2, 3):
            lines = np.moveaxis(edged, axis, 0)
            lines[:reach] = lines[len(lines) - reach :] = 0
        made = nearest(edged, rows, columns)
        for axis in (2, 3) if output_reach else ():
            lines = np.moveaxis(made, axis, 0)
            lines[:output_reach] = lines[len(lines) - output_reach :] = 0
        return made + np.where(image.mean() < 0.5, 1, -1) * np.float32(off / 255)

    return run


@pytest.mark.parametrize(("reach", "rim"), [(0, 0), (1, 2), (2, 2), (5, 6), (9, 12), (24, 24)])
def test_it_is_the_smallest_that_keeps_flat_colours(reach, rim):
    found = find_rim([blackened(reach)], 4.0, None)
    assert found.pixels == rim
    assert found.error < 1e-3


def test_every_way_to_run_counts():
    assert find_rim([blackened(1), blackened(5), blackened(3)], 2.0, None).pixels == 6


def test_it_is_at_most_the_halo():
    found = find_rim([blackened(9)], 4.0, 7)
    assert found.pixels == 0, "where none helps, none is paid for"
    assert found.error == 255
    assert find_rim([blackened(2)], 4.0, 7).pixels == 2


def test_what_is_wrong_everywhere_is_not_the_rims_to_mend():
    off = 5.0
    found = find_rim([blackened(3, off)], 4.0, None)
    assert found.pixels == 4
    assert TOLERANCE < found.error == pytest.approx(off, abs=NOT_WORSE)


def test_mixed_output_pixels_are_made_beyond_the_picture_too():
    network = blackened(1, output_reach=1)
    assert find_rim([network], 4.0, None, output_halo=1).pixels == 2
    assert flat_error(network, (255, 255, 255), 2.0, 2, 0) == 255


def test_no_scale_is_tried_that_a_network_does_not_offer():
    calls: list[tuple[int, ...]] = []
    find_rim([blackened(0, calls=calls)], 2.0, None)
    assert len(calls) == 2 * len(COLOURS)
