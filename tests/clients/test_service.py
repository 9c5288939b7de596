"""Both kinds of client against a running service."""

from __future__ import annotations

import io
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anysr_client import (
    AnysrError,
    EstimateOptions,
    InvalidRequest,
    JobOptions,
    NotFound,
    Options,
    PictureRefused,
    Upscaled,
)
from scheduling.request import DeferredRequest, EstimateRequest, UpscaleRequest
from tests.clients.conftest import Connect
from tests.support.pictures import draw_jpeg


@pytest.fixture
def client(connect: Connect, service_url: str) -> Any:
    return connect(service_url)


def size_of(made: Upscaled) -> tuple[int, int]:
    with Image.open(io.BytesIO(made.picture)) as image:
        return image.size


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(draw_jpeg(40, 30))
    return path


def test_a_picture_and_the_facts_of_its_answer(client: Any, photo: Path) -> None:
    made = client.upscale(photo, scale=2.5, model="anysr-xs", anysr_width=1.0, budget=600)
    assert size_of(made) == (100, 75)
    assert (made.media_type, made.model, made.width) == ("image/jpeg", "anysr-xs", 1.0)
    assert (made.reason, made.scales, made.budget_ms) == ("pinned", (2.5, 2.5), 600_000.0)
    assert made.met
    assert made.elapsed_ms > 0
    assert made.predicted_ms is not None
    assert made.expected_db is not None
    assert made.expected_db_range is not None
    assert made.expected_db_range[0] < made.expected_db < made.expected_db_range[1]
    assert {"upload", "queue", "network", "total"} <= set(made.stages_ms)
    assert len(made.job_id) == 32


def test_a_picture_is_bytes_a_path_a_file_or_a_pipe(client: Any, photo: Path) -> None:
    data = photo.read_bytes()
    reading, writing = os.pipe()
    with photo.open("rb") as file, os.fdopen(reading, "rb") as pipe:
        os.write(writing, data)
        os.close(writing)
        behind = io.BytesIO(b"a head" + data)
        behind.seek(6)
        kinds = [data, bytearray(data), memoryview(data), str(photo), photo, file, behind, pipe]
        sizes = [size_of(client.upscale(kind, width=60)) for kind in kinds]
    assert sizes == [(60, 45)] * 8


def test_options_reach_the_service(client: Any, photo: Path) -> None:
    made = client.upscale(
        photo, scale_h=2, scale_w=3, format="webp", lossless=True, metadata="none", quality=None
    )
    assert (made.media_type, made.scales, size_of(made)) == ("image/webp", (2.0, 3.0), (120, 60))


def test_an_unknown_option_is_refused_before_anything_is_sent(client: Any, photo: Path) -> None:
    with pytest.raises(TypeError, match="'scales' is no option; the options are scale"):
        client.upscale(photo, scales=2)


@pytest.mark.parametrize(
    ("options", "family", "code", "status"),
    [
        ({"scale": 9}, InvalidRequest, "invalid_request", 422),
        ({"scale": 2, "model": "none"}, InvalidRequest, "unknown_model", 422),
        ({}, InvalidRequest, "invalid_request", 422),
    ],
)
def test_a_problem_is_an_error_of_its_family(
    client: Any, photo: Path, options: Any, family: type[AnysrError], code: str, status: int
) -> None:
    with pytest.raises(family) as caught:
        client.upscale(photo, **options)
    error = caught.value
    assert (error.code, error.status) == (code, status)
    assert error.members["type"] == f"urn:anysr:error:{code}"
    assert error.request_id == error.members["request_id"]


def test_a_file_that_is_no_picture_is_refused(client: Any) -> None:
    with pytest.raises(PictureRefused) as caught:
        client.upscale(b"no picture", scale=2)
    assert caught.value.code == "unsupported_image"


def test_a_job_from_submission_to_picture(client: Any, photo: Path) -> None:
    job = client.submit(photo, scale=2, deadline=60)
    assert (job.last.id, job.last.output_width) == (job.id, 80)
    shown = list(job.events())
    assert shown[-1].status == "succeeded"
    assert shown[-1].progress == 1.0
    assert [state.id for state in shown] == [job.id] * len(shown)
    assert all(one != other for one, other in itertools.pairwise(shown))
    made = job.result()
    assert (made.job_id, size_of(made)) == (job.id, (80, 60))
    assert shown[-1].run.model == made.model
    assert client.job(job.id).wait() == shown[-1]
    assert job.cancel() == shown[-1]


def test_a_result_is_waited_for(client: Any, photo: Path) -> None:
    assert size_of(client.submit(photo, scale=2).result(deadline=60)) == (80, 60)


def test_a_job_that_is_unknown(client: Any) -> None:
    for call in ("state", "wait", "result", "cancel"):
        with pytest.raises(NotFound) as caught:
            getattr(client.job("../models"), call)()
        assert caught.value.status == 404


def test_an_estimate(client: Any) -> None:
    found = client.estimate(width=400, height=300, format="jpeg", scale=2)
    assert (found.output_width, found.output_height) == (800, 600)
    assert found.rungs[0].budget_ms <= found.rungs[-1].budget_ms
    assert {rung.model for rung in found.rungs} & {"anysr-s", "anysr-m"}
    assert found.default_budget_ms >= found.smallest_budget_ms


def test_models_and_limits(client: Any) -> None:
    found = client.models()
    [default] = [model for model in found.models if model.default]
    assert default.name == found.default
    assert default.widths[-1] == 1.0
    assert found.limits.max_budget_ms == 600_000.0
    assert {"png", "heic"} <= {form.name for form in found.limits.formats}


def test_in_a_batch_one_bad_source_fails_and_the_others_go_on(client: Any, photo: Path) -> None:
    sources = [photo, b"no picture", photo.read_bytes(), photo.with_name("missing.jpg"), photo]
    items = {
        item.index: item
        for item in client.batch(iter(sources), scale=2, concurrency=2, deadline=60)
    }
    assert [items[index].source for index in range(5)] == sources
    assert [type(items[index].error) for index in range(5)] == [
        *(type(None), PictureRefused, type(None), FileNotFoundError, type(None))
    ]
    assert [size_of(items[index].result()) for index in (0, 2, 4)] == [(80, 60)] * 3
    with pytest.raises(PictureRefused):
        items[1].result()


def test_a_batch_of_none_at_once_is_refused(client: Any) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        client.batch([], scale=2, concurrency=0)


def test_a_deadline_that_no_budget_reaches_is_cut_to_the_largest(client: Any, photo: Path) -> None:
    made = client.upscale(photo, scale=2, deadline=86_400)
    assert made.budget_ms == 600_000.0


def test_the_options_are_those_of_the_service() -> None:
    for ours, theirs in ((Options, UpscaleRequest), (JobOptions, DeferredRequest)):
        names = {"latency_budget_ms" if name == "budget" else name for name in ours.__annotations__}
        assert names == set(theirs.model_fields)
    assert set(EstimateOptions.__annotations__) == set(EstimateRequest.model_fields)
