"""Jobs for tests: any field can be replaced, the others are those of a small picture at x2."""

from __future__ import annotations

from typing import Any

from jobs.formats import ImageFormat
from jobs.job import Job, JobRequest, OnMiss

WISHES: dict[str, Any] = {
    "id": "job-0",
    "source_width": 40,
    "source_height": 30,
    "output_width": 80,
    "output_height": 60,
    "output_format": ImageFormat.PNG,
    "quality": None,
    "model": None,
    "pinned_width": None,
    "on_miss": OnMiss.DEGRADE,
    "budget_ms": 60_000.0,
}
COSTS: dict[str, Any] = {"cheapest_ms": 10.0, "narrowest_ms": 0.0, "overhead_ms": 0.0}


def job_request(**changes: Any) -> JobRequest:
    """A request, before admission."""
    return JobRequest(**{**WISHES, **changes})


def admitted_job(**changes: Any) -> Job:
    """A job with its predicted costs, as the queue takes it."""
    return Job(**{**WISHES, **COSTS, **changes})
