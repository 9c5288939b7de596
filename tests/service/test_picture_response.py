"""Headers of a picture: edge cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.job import JobStatus, JobView, Reason, RunFacts
from service.picture_response import deadline_text, picture_response, scale_text
from tests.support.jobs import admitted_job

JOB = admitted_job(
    id="1", source_width=100, source_height=50, output_width=237, output_height=118,
    model="m", budget_ms=100.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("width", "height", "text"),
    [(200, 100, "2"), (237, 118, "2.36x2.37"), (300, 100, "2x3"), (201, 100, "2x2.01")],
)
def test_scale_text(width: int, height: int, text: str) -> None:
    assert scale_text(replace(JOB, output_width=width, output_height=height)) == text


def test_a_deadline_is_met_at_the_exact_budget() -> None:
    assert (deadline_text(JOB, 100.0), deadline_text(JOB, 100.1)) == ("met", "missed")


def test_the_floor_has_model_lanczos_and_width_0() -> None:
    facts = RunFacts("lanczos", 0.0, Reason.FLOOR, 2.0, 2.0)
    view = JobView(JOB, JobStatus.SUCCEEDED, 0.0, 95.0, finished_ms=125.0, facts=facts)
    assert view.elapsed_ms == 130.0
    headers = picture_response(view, b"x", view.elapsed_ms).headers
    assert (headers["x-anysr-model"], headers["x-anysr-width"]) == ("lanczos", "0")
    assert (headers["x-anysr-reason"], headers["x-anysr-deadline"]) == ("floor", "missed")
    assert "x-anysr-expected-db" not in headers
    assert headers["server-timing"] == "total;dur=130.0"


@pytest.mark.parametrize("converted", [False, True])
def test_converted_colours_are_named(converted: bool) -> None:
    facts = RunFacts("lanczos", 0.0, Reason.FLOOR, 2.0, 2.0, converted=converted)
    view = JobView(JOB, JobStatus.SUCCEEDED, 0.0, 95.0, facts=facts)
    stated = picture_response(view, b"x", 1.0).headers.get("x-anysr-colours")
    assert stated == ("converted" if converted else None)
