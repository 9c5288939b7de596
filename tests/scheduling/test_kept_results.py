"""What planning keeps of earlier requests is bounded, and soon full."""

from __future__ import annotations

import gc
import random
import tracemalloc
from dataclasses import replace

from models.catalog import SHIPPED, read_catalog
from scheduling.tiling import Tiling
from scheduling.work import work_of
from tests.support.jobs import job_request

KILOBYTE = 1e3


def test_what_is_kept_of_plans_does_not_rise_with_the_scales_that_callers_ask_for() -> None:
    """A service that answers some thousand requests is measured for hours."""
    models, drawn = read_catalog(SHIPPED).models, random.Random(1)
    cut, job = Tiling(halo=8, rim=4), job_request(source_width=64, source_height=48)

    def planned(number: int) -> int:
        """Plan for as many requests, each of another scale, and return the traced bytes."""
        for _ in range(number):
            scale, strength = drawn.uniform(1.1, 4.0), drawn.random()
            for model in models:
                for width in model.widths:
                    model.expected_db(width.width, scale, strength)
            height, width_px = round(48 * scale), round(64 * scale) + drawn.randrange(1000)
            work_of(replace(job, output_height=height, output_width=width_px), cut)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = planned(30)
        assert planned(130) - first < 150 * KILOBYTE
    finally:
        tracemalloc.stop()
