"""Execution of one job: its order of steps, which worker, command line and studies share."""

from __future__ import annotations

import io
import math

import pytest
from PIL import Image

from jobs.backlog import Backlog
from jobs.errors import CorruptImage, OutputTooLarge, Overloaded, UnsupportedImage
from jobs.formats import ImageFormat
from jobs.job import Claim
from scheduling.load import Load
from tests.workers.workbench import LIMITS, Gated, a_job, costs_of, models_of, photograph
from workers.binding import Binding
from workers.execution import Execution, execute
from workers.pipeline import Progress, Stopped, guard

ALONE = Load(now_ms=0.0, workers=1)


def run(payload: bytes, session: Gated | None = None, **options: object) -> Execution:
    session = session or Gated()
    session.gate.set()
    models, costs = models_of(session), costs_of(network_ms=1.0)
    job = a_job(output_format=ImageFormat.PNG)
    return execute(job, payload, models, costs, math.inf, ALONE, LIMITS, **options)  # type: ignore[arg-type]


def test_a_job_is_bound_by_the_catalog_and_then_by_its_picture() -> None:
    session, seen = Gated(), []

    def on_bound(bound: Binding) -> None:
        seen.append((bound.expectation, bound.option.db, session.tiles))

    execution = run(photograph(), session, on_bound=on_bound)
    (first, mean_db, _), (second, own_db, tiles_before) = seen
    assert (first, tiles_before, session.tiles) == (None, 0, 1)
    assert second is execution.bound.expectation is not None
    assert own_db == execution.bound.option.db != mean_db
    assert Image.open(io.BytesIO(execution.result.picture)).size == (96, 80)
    facts = execution.facts(Claim(a_job(), b"", 1, 1, 900.0, 3000.0, Backlog(1000.0)), run_ms=12.0)
    assert (facts.stages_ms["queue"], facts.run_ms, facts.expected_db) == (100.0, 12.0, own_db)


def test_frame_and_background_of_the_job_count() -> None:
    """The second frame is transparent: nothing but the background is seen."""
    clear = Image.new("RGBA", (48, 40))
    buffer = io.BytesIO()
    opaque = Image.new("RGBA", clear.size, (255, 0, 0, 255))
    opaque.save(buffer, "PNG", save_all=True, append_images=[clear], blend=0)
    for frame, expected in ((0, (255, 0, 0)), (1, (0, 128, 255))):
        job = a_job(output_format=ImageFormat.JPEG, frame=frame, background="0080ff", quality=100)
        session = Gated()
        session.gate.set()
        made = execute(
            *(job, buffer.getvalue(), models_of(session), costs_of(network_ms=1.0), math.inf),
            *(ALONE, LIMITS),
        )
        with Image.open(io.BytesIO(made.result.picture)) as image:
            pixel = image.convert("RGB").getpixel((40, 40))
        assert isinstance(pixel, tuple)
        assert max(abs(a - b) for a, b in zip(pixel, expected, strict=True)) <= 3


def test_a_format_that_is_not_written_is_refused() -> None:
    with pytest.raises(UnsupportedImage):
        guard(a_job(output_format=ImageFormat.GIF), LIMITS)


def test_what_the_hook_raises_ends_the_execution_before_decoding() -> None:
    def stop(bound: Binding) -> None:
        raise Stopped(bound.option.rung.key)

    with pytest.raises(Stopped):
        run(b"no image", on_bound=stop)
    with pytest.raises(CorruptImage):
        run(photograph()[:-900])


def test_a_stopped_execution_runs_no_tile() -> None:
    session, progress = Gated(), Progress()
    progress.stop()
    with pytest.raises(Stopped):
        run(photograph(), session, progress=progress)
    assert session.tiles == 0


def test_limits_are_checked_before_memory_and_memory_before_decoding() -> None:
    with pytest.raises(Overloaded):
        run(photograph()[:-900], available_bytes=1000)
    large = a_job(output_width=4000, output_height=4000)
    with pytest.raises(OutputTooLarge):
        execute(
            large, b"", models_of(Gated()), costs_of(1.0), 1.0, ALONE, LIMITS, available_bytes=1000
        )
