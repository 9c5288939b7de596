"""`frame` and `background` over HTTP: what reaches the worker, and what is refused."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.service.harness import RunningGateway, ScriptedWorker, assert_problem, encoded


def animated(image_format: str, count: int = 3) -> bytes:
    frames = [Image.new("RGB", (20, 12), (50 * number, 0, 0)) for number in range(count)]
    return encoded(frames[0], image_format, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("image_format", ["gif", "webp", "png", "tiff"])
async def test_the_job_names_the_frame(
    served: RunningGateway, worker: ScriptedWorker, image_format: str
) -> None:
    picture = animated(image_format)
    response = await served.upscale(picture, scale=2, frame=2, background="F0f0f0")
    assert response.status_code == 200, response.text
    written = "png" if image_format == "gif" else image_format
    assert response.headers["content-type"] == f"image/{written}"
    [claim] = worker.claims
    assert (claim.job.frame, claim.job.background) == (2, "F0f0f0")
    assert (claim.job.source_width, claim.job.output_width) == (20, 40)


async def test_by_default_there_is_no_frame_and_white(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    assert (await served.upscale()).status_code == 200
    assert (worker.claims[0].job.frame, worker.claims[0].job.background) == (None, "ffffff")


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"frame": 3}, "This file has 3 frames; frame must be from 0 (the first) to 2, got 3."),
        ({"frame": -1}, "frame"),
        ({"frame": "first"}, "frame"),
        ({"frame": 0, "background": "white"}, "background must be a colour as RRGGBB"),
        ({"frame": 0, "background": "fff"}, "background must be a colour as RRGGBB"),
        ({"frame": 0, "format": "gif"}, "format must be auto, png, jpeg, webp, avif, jxl, tiff"),
    ],
)
async def test_wrong_values_are_refused(
    served: RunningGateway, parameters: dict[str, object], text: str
) -> None:
    response = await served.upscale(animated("gif"), scale=2, **parameters)
    assert_problem(response, 422, "invalid_request")
    assert text in response.json()["detail"]


@pytest.mark.usefixtures("worker")
async def test_a_picture_that_is_only_read_has_a_result_of_another_format(
    served: RunningGateway,
) -> None:
    bmp = encoded(Image.new("RGB", (20, 12)), "bmp")
    response = await served.upscale(bmp, scale=2)
    assert response.headers["content-type"] == "image/png"
    response = await served.client.post(
        "/upscale", params={"scale": 2, "format": "auto"}, content=bmp, headers={"Accept": "*/*"}
    )
    assert response.headers["content-type"] == "image/png"
    response = await served.client.get(
        "/estimate", params={"width": 40, "height": 30, "format": "heic", "scale": 2}
    )
    assert response.status_code == 200, response.text


async def test_the_list_of_formats_says_what_each_becomes(served: RunningGateway) -> None:
    limits = (await served.client.get("/models")).json()["limits"]
    become = {found["name"]: found["written_as"] for found in limits["formats"]}
    assert become["gif"] == become["bmp"] == "png"
    assert become["heic"] == "jpeg"
    assert set(limits["max_side"]) == {name for name, written in become.items() if name == written}
