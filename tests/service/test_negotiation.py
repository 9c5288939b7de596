"""With `format=auto` the Accept header chooses the format of the output."""

from __future__ import annotations

import pytest

from jobs.formats import ImageFormat
from service.negotiation import accepted_of, negotiated
from tests.service.harness import RunningGateway, ScriptedWorker, assert_problem, drawn

PNG, JPEG, WEBP, AVIF, JXL = (ImageFormat(name) for name in ("png", "jpeg", "webp", "avif", "jxl"))


@pytest.mark.parametrize(
    ("header", "own", "chosen"),
    [
        ("", PNG, PNG),
        ("*/*", WEBP, WEBP),
        ("image/*", JXL, JXL),
        ("image/avif", PNG, AVIF),
        ("IMAGE/AVIF ; Q=0.5", PNG, AVIF),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", JPEG, AVIF),
        ("image/webp,image/avif,*/*;q=0.8", JPEG, WEBP),
        ("image/webp,image/png", PNG, PNG),
        ("image/webp;q=0.9, image/jpeg;q=0.95, image/png;q=0.1", PNG, JPEG),
        ("image/jxl;q=0.2, */*;q=0.1", PNG, JXL),
        ("image/png;q=0, */*", PNG, JPEG),
        ("image/*;q=0.2, image/png;q=0.1", PNG, JPEG),
        ("text/html, image/webp;q=0.3", PNG, WEBP),
        ("text/html,application/xhtml+xml,*/*;q=0.8", AVIF, AVIF),
        ("image/avif;q=1.5, image/webp;q=abc, image/jpeg;q=0.001", PNG, JPEG),
        ("image/webp;q=", PNG, PNG),
        ("text/html", PNG, None),
        ("*/*;q=0", PNG, None),
        ("image/gif, image/*;q=0", PNG, None),
    ],
)
def test_the_best_format_of_a_header(
    header: str, own: ImageFormat, chosen: ImageFormat | None
) -> None:
    assert negotiated(accepted_of(header), own) is chosen


async def test_auto_follows_the_header(served: RunningGateway) -> None:
    for accept, kind in (
        ("image/webp", "webp"),
        ("image/avif;q=0.9, */*;q=0.1", "avif"),
        ("*/*", "png"),
    ):
        response = await served.client.post(
            "/upscale",
            params={"scale": 2, "format": "auto"},
            content=drawn(),
            headers={"Content-Type": "image/png", "Accept": accept},
        )
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == f"image/{kind}"
        assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize("format_given", [{}, {"format": "png"}])
async def test_without_auto_the_header_does_not_matter(
    served: RunningGateway, format_given: dict[str, str]
) -> None:
    response = await served.client.post(
        "/upscale",
        data={"scale": "2", **format_given},
        files={"image": ("a.png", drawn())},
        headers={"Accept": "image/webp"},
    )
    assert response.headers["content-type"] == "image/png"
    assert "vary" not in response.headers


async def test_a_header_that_allows_no_format_is_406(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    response = await served.client.post(
        "/upscale",
        data={"scale": "2", "format": "auto"},
        files={"image": ("a.png", drawn())},
        headers={"Accept": "application/json"},
    )
    members = assert_problem(response, 406, "not_acceptable")
    assert "image/avif" in members["detail"]
    assert response.headers["vary"] == "Accept"
    assert not worker.claims


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("application/json", "png"), ("application/json, image/webp", "webp"), ("*/*", "png")],
)
async def test_a_job_takes_only_the_image_types(
    served: RunningGateway, worker: ScriptedWorker, accept: str, kind: str
) -> None:
    response = await served.client.post(
        "/jobs",
        params={"scale": 2, "format": "auto"},
        content=drawn(),
        headers={"Content-Type": "image/png", "Accept": accept},
    )
    assert response.status_code == 202, response.text
    await worker.claimed.wait()
    assert worker.claims[0].job.output_format.value == kind
