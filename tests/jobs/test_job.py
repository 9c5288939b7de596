"""A job is its request with the costs that admission predicted, and nothing less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from jobs.codec import JOB, CodecError
from jobs.digests import unsealed
from jobs.job import Job, JobRequest

MakeJob = Callable[..., Job]
COSTS = {"cheapest_ms": 1.0, "narrowest_ms": 2.0, "overhead_ms": 3.0}


def test_job_keeps_every_wish_of_its_request(make_job: MakeJob) -> None:
    sample = make_job(min_db=30.0, min_width=0.5, strength=0.25, source_bytes=7)
    wishes: dict[str, Any] = {f.name: getattr(sample, f.name) for f in fields(JobRequest)}
    request = JobRequest(**wishes)
    job = Job.of(request, **COSTS)
    assert {name: getattr(job, name) for name in wishes} == wishes
    assert {name: getattr(job, name) for name in COSTS} == COSTS
    assert Job.of(job, **COSTS) == job == replace(sample, **COSTS)  # type: ignore[arg-type]


@pytest.mark.parametrize("cost", COSTS)
def test_job_without_a_cost_is_not_read(make_job: MakeJob, cost: str) -> None:
    record = from_json(unsealed(JOB.encode(make_job())))
    del record[cost]
    with pytest.raises(CodecError, match=cost):
        JOB.decode(to_json(record))
