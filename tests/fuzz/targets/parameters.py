"""The parameters of a request (`scheduling.request`): a job within its limits, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.datastructures import QueryParams

from images.background_colour import background_of
from images.header import ImageHeader, check_pixels
from images.limits import Limits
from jobs.errors import (
    AnysrError,
    ImageTooLarge,
    InvalidRequest,
    ModelNotTrained,
    OutputTooLarge,
    UnknownModel,
    UnknownWidth,
)
from jobs.formats import ImageFormat
from jobs.job import JobRequest
from models.catalog import read_catalog
from scheduling.planning import Budgets, build_job
from scheduling.request import PARAMETERS, UpscaleRequest, parse_estimate, parse_request
from service.problems import respond
from tests.fuzz.target import Target, read_or_refused

CATALOG = read_catalog()
BUDGETS = Budgets(default_ms=10_000.0, largest_ms=600_000.0)
MOST_PIXELS = 100_000_000
LIMITS = Limits(MOST_PIXELS, MOST_PIXELS)
HEADER = ImageHeader(ImageFormat.JPEG, 640, 480, 6, 8, "RGB", 90.0)
Pairs = list[tuple[str, str]]
Plan = Callable[[Pairs], JobRequest]
REFUSALS = (
    *(InvalidRequest, ModelNotTrained, UnknownModel, UnknownWidth),
    *(ImageTooLarge, OutputTooLarge),
)


def run(data: bytes) -> None:
    """Plan the jobs of a query: one that describes its picture if it begins with `?`."""
    pairs = QueryParams(data.removeprefix(b"?")).multi_items()
    plan = _estimated if data[:1] == b"?" else _wanted
    job = read_or_refused(lambda: _answerable(plan, pairs), REFUSALS)
    if job is not None:
        _check(job)


def _answerable(plan: Plan, pairs: Pairs) -> JobRequest:
    """Return the job. A refusal is written as its answer first, and raised."""
    try:
        return plan(pairs)
    except AnysrError as error:
        _check_answer(error)
        raise


def _check_answer(error: AnysrError) -> None:
    answer = respond(error, "id")
    assert json.loads(bytes(answer.body))["code"] == error.code


def _wanted(pairs: Pairs) -> JobRequest:
    return _planned(parse_request(pairs), HEADER)


def _estimated(pairs: Pairs) -> JobRequest:
    described = parse_estimate(pairs)
    check_pixels(described.width, described.height, MOST_PIXELS)
    return _planned(described.with_picture(), described.header())


def _planned(wanted: UpscaleRequest, header: ImageHeader) -> JobRequest:
    return build_job("id", wanted, header, CATALOG, LIMITS, BUDGETS)


def _check(job: JobRequest) -> None:
    assert job.source_width <= job.output_width
    assert job.source_height <= job.output_height
    assert job.output_width * job.output_height <= MOST_PIXELS
    assert max(job.output_width, job.output_height) <= job.output_format.max_side
    assert 0 < job.budget_ms <= BUDGETS.largest_ms
    assert 0 <= job.strength <= 1
    assert job.quality is None or 1 <= job.quality <= 100
    assert job.frame is None or job.frame >= 0
    assert len(background_of(job.background)) == 3
    json.dumps([job.budget_ms, job.scale_h, job.scale_w, job.min_db], allow_nan=False)


def seeds() -> list[bytes]:
    """Return queries with every parameter, in both forms."""
    values = {"scale": "2", "width": "1280", "model": "anysr-s", "format": "webp"}
    values |= {"strength": "auto", "on_miss": "reject", "latency_budget_ms": "1500.5"}
    values |= {"background": "ff8000"}
    single = [f"{name}={values.get(name, '1')}" for name in PARAMETERS]
    wanted = [
        *single,
        *(f"scale=2&{one}" for one in single),
        "scale_h=1.5&scale_w=2.37&anysr_width=0.5&min_db=30",
    ]
    picture = "?width=4000&height=3000&format=avif&"
    more = ("scale=2", "output_width=5000", "scale=2&output_format=png&strength=0.5")
    return [query.encode() for query in (*wanted, *(picture + one for one in more))]


TARGET = Target(run, seeds, longest=256)
