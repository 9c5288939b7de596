"""Forms as HTTP libraries write them: file names, text around the parts, fields."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from service.form_preamble import without_preamble
from tests.service.harness import RunningGateway, assert_problem, drawn

SCALE = b'--BB\r\nContent-Disposition: form-data; name="scale"\r\n\r\n2\r\n'
END = b"\r\n--BB--\r\n"


def file_part(parameters: str, picture: bytes | None = None) -> bytes:
    head = (
        f"--BB\r\nContent-Disposition: form-data; {parameters}\r\nContent-Type: image/png\r\n\r\n"
    )
    return head.encode() + (drawn() if picture is None else picture)


async def post(served: RunningGateway, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=BB"}
    return await served.client.post("/upscale", content=body, headers=headers)


@pytest.mark.parametrize(
    "parameters",
    [
        "name=\"image\"; filename*=utf-8''%D1%84.png",
        'name="image"; filename*=UTF-8\'\'%E2%82%AC%20rates.png; filename="rates.png"',
        "name=\"image\"; filename*0*=UTF-8''%E2%82; filename*1*=%AC.png",
        'name="image"; FileName*=nonsense',
        'name="image"; filename="a\\".png"',
        'name="image"; filename=plain.png',
        'filename="a.png"; name="image"',
    ],
)
async def test_a_part_with_either_form_of_a_file_name_is_a_file(
    served: RunningGateway, parameters: str
) -> None:
    response = await post(served, SCALE + file_part(parameters) + END)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("size", [20, 5000])
@pytest.mark.parametrize(
    "parameters", ['name="image"', 'name="image"; title="; filename*=a"', "name=image; file=a"]
)
async def test_a_picture_without_a_file_name_is_told_what_is_missing(
    served: RunningGateway, size: int, parameters: str
) -> None:
    response = await post(served, SCALE + file_part(parameters, b"x" * size) + END)
    members = assert_problem(response, 422, "invalid_request")
    assert "The part 'image' has no file name" in members["detail"]


async def test_a_long_field_is_named(served: RunningGateway) -> None:
    response = await post(
        served, SCALE.replace(b"2", b"2" * 2000) + file_part('name="image"') + END
    )
    members = assert_problem(response, 422, "invalid_request")
    assert members["detail"] == "The field 'scale' is longer than 1024 bytes."


@pytest.mark.parametrize(
    "preamble",
    [b"", b"\r\n", b"This is a multi-part message.\r\n", b"--B\r\n--B\r\n", b"x" * 9000 + b"\r\n"],
)
@pytest.mark.parametrize("epilogue", [b"", b"The end.\r\n", b"\r\n--BB\r\nmore\r\n" + b"x" * 9000])
async def test_text_around_the_parts_is_ignored(
    served: RunningGateway, preamble: bytes, epilogue: bytes
) -> None:
    body = preamble + SCALE + file_part('name="image"; filename="a.png"') + END + epilogue
    response = await post(served, body)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("body", [b"no boundary", b"-BB\r\n", b"x--BB\r\n", b""])
async def test_a_body_without_its_boundary_is_refused(served: RunningGateway, body: bytes) -> None:
    members = assert_problem(await post(served, body), 422, "invalid_request")
    assert "boundary" in members["detail"]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
def test_a_boundary_may_arrive_in_pieces(step: int) -> None:
    body = b"before\r\n--B\r\n--BB\r\nrest --BB\r\n--BB--"

    async def read() -> bytes:
        async def pieces():
            for start in range(0, len(body), step):
                yield body[start : start + step]

        return b"".join([piece async for piece in without_preamble(pieces(), b"BB")])

    assert asyncio.run(read()) == b"--BB\r\nrest --BB\r\n--BB--"


@pytest.mark.parametrize("text", ["0_2.5", " 2", "+2", "inf", "\uff12"])
async def test_numbers_of_a_form_are_those_of_a_query(served: RunningGateway, text: str) -> None:
    asked: tuple[dict[str, Any], ...] = ({"scale": text}, {"scale": "2", "latency_budget_ms": text})
    for data in asked:
        (name,) = (name for name, value in data.items() if value == text)
        form = await served.client.post("/upscale", data=data, files={"image": ("a", drawn())})
        query = await served.upscale(**data)
        for response in (form, query):
            members = assert_problem(response, 422, "invalid_request")
            assert members["detail"].startswith(f"{name}: must be a number")


async def test_parameters_may_be_in_the_query_beside_a_form(served: RunningGateway) -> None:
    files = {"image": ("a.png", drawn(), "image/png")}
    for query, fields in (
        ({"scale": "2", "format": "webp"}, {}),
        ({"scale": "2"}, {"format": "webp"}),
    ):
        response = await served.client.post("/upscale", params=query, data=fields, files=files)
        assert response.headers["content-type"] == "image/webp", response.text
    twice = await served.client.post(
        "/upscale", params={"scale": "2"}, data={"scale": "2"}, files=files
    )
    members = assert_problem(twice, 422, "invalid_request")
    assert "'scale' is given more than once" in members["detail"]
