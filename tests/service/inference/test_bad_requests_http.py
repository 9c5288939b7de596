"""Requests of the protocol that are refused: each with its code, and nothing in the queue."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobs.errors import WorkerLost
from service.inference.document import LONGEST_JSON
from tests.service.harness import RunningGateway, ScriptedWorker, Start, drawn
from tests.service.inference.messages import (
    INFER,
    assert_error,
    base64_input,
    binary_input,
    body_of,
    element,
    infer,
    infer_binary,
)

IMAGE = base64_input(drawn())
SCALE = {"scale": 2}
PIXELS = {"name": "pixels", "datatype": "UINT8", "shape": [2, 2, 3]}
TEXT: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}


def with_image(**members: Any) -> dict[str, Any]:
    return {"inputs": [IMAGE], "parameters": SCALE, **members}


def with_parameters(**parameters: Any) -> dict[str, Any]:
    return with_image(parameters=parameters)


def with_input(**members: Any) -> dict[str, Any]:
    return with_image(inputs=[TEXT | members])


@pytest.fixture
async def untouched(
    served: RunningGateway, worker: ScriptedWorker
) -> AsyncIterator[RunningGateway]:
    """A gateway of which the test must submit nothing."""
    yield served
    assert not worker.claims
    assert (await served.stats()).queued == 0


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([], "request: "),
        ({}, "inputs: "),
        (with_image(inputs={}), "inputs: "),
        (with_image(inputs=[]), "exactly one input"),
        (with_image(inputs=[IMAGE, IMAGE]), "exactly one input"),
        (with_image(inputs=[{"name": "image"}]), "inputs.0.datatype: "),
        (with_image(id=7), "id: "),
        (with_image(id="x" * 257), "id: "),
        (with_image(outputs=[{"name": "other"}]), "no output 'other'"),
        (with_image(outputs=[{"name": "image"}] * 2), "once"),
        (
            with_image(outputs=[{"name": "image", "parameters": {"classification": 3}}]),
            "no parameter 'classification'",
        ),
        (
            with_image(outputs=[{"name": "image", "parameters": {"binary_data": 1}}]),
            "true or false",
        ),
        (with_input(name="picture", data=[""]), "no input 'picture'"),
        (with_input(datatype="UINT8", data=[""]), "datatype BYTES"),
        (with_input(shape=[2], data=["", ""]), "shape [1]"),
        (with_input(shape=[1.0], data=[""]), "inputs.0.shape.0: "),
        (with_input(shape=[0], data=[""]), "inputs.0.shape.0: "),
        (with_input(), "no data"),
        (with_input(data=[]), "one text"),
        (with_input(data=["", ""]), "one text"),
        (with_input(data=[7]), "one text"),
        (with_input(data=["%%%%"]), "not base64"),
        (with_input(data=["QUJD=QUJD"]), "not base64"),
        (with_input(data=["QUJ"]), "not base64"),
        (with_input(data=["QUJDé"]), "not base64"),
        (with_input(data=["QUJD\ud800"]), "not base64"),
        (with_input(data=["QQ=="], parameters={"binary_data_size": 4}), "both"),
        (with_input(parameters={"binary_data_size": 0}), "from 1"),
        (with_input(parameters={"binary_data_size": True}), "from 1"),
        (with_input(parameters={"binary_data_size": "4"}), "from 1"),
        (with_image(inputs=[PIXELS | {"data": [0] * 12}]), "binary data alone"),
        (with_parameters(), "exactly one of scale"),
        (with_parameters(scale="2x"), "scale"),
        (with_parameters(scale=[2]), "parameters.scale"),
        (with_parameters(scale=None), "parameters.scale"),
        (with_parameters(scale=99), "from 1 to 8"),
        (with_parameters(scale=2, quality=0), "quality"),
        (with_parameters(scale=2, lossless="yes"), "lossless"),
        (with_parameters(scale=2, model="drawn-s"), "The path names the model"),
        (with_parameters(scale=2, priority=1), "unknown parameter 'priority'"),
        (with_parameters(scale=2, image_url="http://a.b/c"), "unknown parameter 'image_url'"),
        (with_parameters(scale=2, budget_ms=9, latency_budget_ms=9), "more than once"),
    ],
)
async def test_invalid_requests(untouched: RunningGateway, members: Any, said: str) -> None:
    response = await untouched.client.post(INFER, content=json.dumps(members))
    assert said in assert_error(response, 422, "invalid_request")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"scale=2",
        b"\xff\xfe",
        b'{"inputs": NaN}',
        b"[" * 100_000,
        b'{"a":' * 90 + b"1" + b"}" * 90 + b"x",
        b"[" + b"{}," * 1_000_000 + b"{}]",
        b"[" + b"0," * 5_000 + b"0]",
        b"1" * 10_000,
        b'"' + drawn() + b'"',
    ],
)
async def test_what_is_no_json_or_too_much_of_it(untouched: RunningGateway, text: bytes) -> None:
    response = await untouched.client.post(INFER, content=text)
    assert_error(response, 422, "invalid_request")


@pytest.mark.parametrize("length", ["-1", "1.5", "x", "１", "99999999999", ""])
async def test_a_length_of_the_json_that_is_no_number(
    untouched: RunningGateway, length: str
) -> None:
    headers = {b"Inference-Header-Content-Length": length.encode()}
    response = await untouched.client.post(INFER, content=b"{}", headers=headers)
    assert "must be a number of bytes" in assert_error(response, 422, "invalid_request")


async def test_a_length_beyond_the_body(untouched: RunningGateway) -> None:
    headers = {"Inference-Header-Content-Length": "9"}
    response = await untouched.client.post(INFER, content=b"{}", headers=headers)
    assert "ends within its JSON" in assert_error(response, 422, "invalid_request")


@pytest.mark.parametrize(
    ("size", "tail", "said"),
    [
        (20, element(bytes(16))[:-1], "less binary data"),
        (20, element(bytes(16)) + b"x", "more binary data"),
        (20, element(bytes(15)) + b"x", "must be one element"),
        (3, bytes(3), "ends within the length"),
        (2**70, element(bytes(16)), "must be one element"),
    ],
)
async def test_binary_data_of_another_size(
    untouched: RunningGateway, size: int, tail: bytes, said: str
) -> None:
    tensor = binary_input("image", "BYTES", [1], size)
    response = await infer_binary(untouched, tensor, tail, parameters=SCALE)
    assert said in assert_error(response, 422, "invalid_request")


@pytest.mark.parametrize(
    ("shape", "count", "said"),
    [
        ([4, 4], 16, "must have the shape"),
        ([4, 4, 2], 32, "must have the shape"),
        ([2, 4, 4, 3], 96, "must have the shape"),
        ([1, 1, 4, 4, 3], 48, "must have the shape"),
        ([4, 4, 3], 47, "but its binary data has 47"),
        ([2**40, 2**40, 3], 48, "but its binary data has 48"),
    ],
)
async def test_pixels_of_another_shape(
    untouched: RunningGateway, shape: list[int], count: int, said: str
) -> None:
    tensor = binary_input("pixels", "UINT8", shape, count)
    response = await infer_binary(untouched, tensor, bytes(count), parameters=SCALE)
    assert said in assert_error(response, 422, "invalid_request")


async def test_more_than_the_json(untouched: RunningGateway) -> None:
    content, headers = body_of(with_image(), b"more")
    response = await untouched.client.post(INFER, content=content, headers=headers)
    assert "goes on after its JSON" in assert_error(response, 422, "invalid_request")


@pytest.mark.parametrize("picture", [b"", element(b"")])
async def test_no_picture(untouched: RunningGateway, picture: bytes) -> None:
    if picture:
        tensor = binary_input("image", "BYTES", [1], len(picture))
        response = await infer_binary(untouched, tensor, picture, parameters=SCALE)
    else:
        response = await infer(untouched, with_input(data=[""]))
    assert_error(response, 400, "empty_body")


async def test_what_is_no_picture(untouched: RunningGateway) -> None:
    response = await infer(untouched, with_image(inputs=[base64_input(b"no picture at all")]))
    assert_error(response, 415, "unsupported_image")


async def test_a_compressed_body(untouched: RunningGateway) -> None:
    headers = {"Content-Encoding": "gzip"}
    response = await untouched.client.post(INFER, content=b"\x1f\x8b", headers=headers)
    assert "Content-Encoding 'gzip'" in assert_error(response, 422, "invalid_request")


async def test_a_json_that_is_too_long(untouched: RunningGateway) -> None:
    text = json.dumps(with_input(data=["A" * LONGEST_JSON])).encode()
    response = await untouched.client.post(INFER, content=text)
    assert "as binary data" in assert_error(response, 413, "body_too_large")
    content, headers = body_of({}, b"")
    headers["Inference-Header-Content-Length"] = str(LONGEST_JSON + 1)
    response = await untouched.client.post(INFER, content=content, headers=headers)
    assert_error(response, 413, "body_too_large")


async def test_the_bounds_of_other_uploads(start: Start, worker: ScriptedWorker) -> None:
    async with start(max_body_bytes=1000, max_source_pixels=100) as served:
        response = await infer(served, with_input(data=["A" * 2000]))
        assert_error(response, 413, "body_too_large")

        async def undeclared() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield bytes(100)

        headers = {"Inference-Header-Content-Length": "0"}
        response = await served.client.post(
            f"{INFER}?scale=2", content=undeclared(), headers=headers
        )
        assert_error(response, 413, "body_too_large")
        tensor = binary_input("pixels", "UINT8", [12, 12, 3], 432)
        response = await infer_binary(served, tensor, bytes(432), parameters=SCALE)
        assert_error(response, 413, "image_too_large")
    async with start(max_uploads=1) as served:
        with served.gateway.uploads._slots.taken("somebody"):
            assert_error(await infer(served), 429, "overloaded")
    assert not worker.claims


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/other/infer"])
async def test_an_unknown_model(untouched: RunningGateway, path: str) -> None:
    call = untouched.client.post if path.endswith("infer") else untouched.client.get
    assert "there are anysr, drawn-s" in assert_error(await call(path), 404, "not_found")


@pytest.mark.parametrize("version", ["2", "01", "latest"])
async def test_an_unknown_version(untouched: RunningGateway, version: str) -> None:
    response = await untouched.client.get(f"/v2/models/anysr/versions/{version}")
    assert "every model has the version 1" in assert_error(response, 404, "not_found")
    response = await infer(untouched, url=f"/v2/models/anysr/versions/{version}/infer")
    assert_error(response, 404, "not_found")


async def test_refusals_by_the_rules_of_http(start: Start) -> None:
    async with start(trusted_hosts=("good.example",)) as served:
        assert_error(await served.client.get("/v2/nothing"), 404, "not_found")
        response = await served.client.get(INFER)
        assert_error(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "POST"
        response = await served.client.get("/v2", headers={"Host": "evil.example"})
        assert_error(response, 421, "misdirected_request")


async def test_a_budget_that_cannot_be_met(untouched: RunningGateway) -> None:
    response = await infer(untouched, scale=2, budget_ms=1, on_miss="reject")
    assert_error(response, 422, "budget_infeasible")
    assert response.json()["smallest_feasible_ms"] > 1


async def test_no_worker(start: Start) -> None:
    async with start() as served:
        response = await infer(served)
        assert_error(response, 503, "not_ready")
        assert int(response.headers["retry-after"]) >= 1


async def test_a_run_that_fails(served: RunningGateway, worker: ScriptedWorker) -> None:
    worker.failure = WorkerLost()
    assert_error(await infer(served), 500, "worker_lost")


async def test_a_bug_is_no_traceback(
    served: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(served.gateway.dispatcher, "submit", broken)
    assert "a bug" not in assert_error(await infer(served), 500, "internal_error")
