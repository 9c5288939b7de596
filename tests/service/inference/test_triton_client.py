"""Triton's own client for HTTP (`tritonclient`) against a running gateway."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from telemetry.build import package_version
from tests.service.harness import MODEL, UNSERVED, RunningGateway, ScriptedWorker, drawn
from tests.service.inference.messages import samples_of

Answer = TypeVar("Answer")


async def called(served: RunningGateway, call: Callable[[InferenceServerClient], Answer]) -> Answer:
    """What a call of a client returns. The client lives in one thread, for its gevent belongs to
    the thread that makes it; the gateway runs in the test's own loop."""

    def with_client() -> Answer:
        address = f"127.0.0.1:{served.port}"
        with InferenceServerClient(address, concurrency=4, network_timeout=60) as client:
            return call(client)

    return await asyncio.to_thread(with_client)


def image_input(picture: Any, *, binary: bool = True) -> InferInput:
    tensor = InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([picture], dtype=np.object_), binary_data=binary)
    return tensor


def image_of(result: InferResult) -> bytes:
    (picture,) = result.as_numpy("image")
    assert isinstance(picture, bytes)
    return picture


async def test_server_and_models(served: RunningGateway) -> None:
    def ask(client: InferenceServerClient) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(MODEL)
        assert client.is_model_ready("anysr", "1")
        assert not client.is_model_ready(UNSERVED)
        assert not client.is_model_ready("other")
        assert client.get_server_metadata()["version"] == package_version()
        metadata = client.get_model_metadata("anysr")
        assert [tensor["name"] for tensor in metadata["inputs"]] == ["image", "pixels"]

    await called(served, ask)


@pytest.mark.parametrize("version", ["", "1"])
async def test_an_encoded_picture(served: RunningGateway, version: str) -> None:
    def ask(client: InferenceServerClient) -> InferResult:
        return client.infer(
            "anysr",
            [image_input(drawn())],
            model_version=version,
            request_id="mine",
            parameters={"scale": 2.37, "latency_budget_ms": 9000},
        )

    result = await called(served, ask)
    assert image_of(result) == (await served.upscale(scale=2.37)).content
    response = result.get_response()
    assert [response[name] for name in ("id", "model_name", "model_version")] == [
        *("mine", "anysr", "1")
    ]
    assert response["parameters"]["budget_ms"] == 9000
    assert result.get_output("image")["shape"] == [1]


async def test_samples(served: RunningGateway) -> None:
    samples = np.random.default_rng(7).integers(0, 256, (1, 30, 40, 3), dtype=np.uint8)
    tensor = InferInput("pixels", list(samples.shape), "UINT8")
    tensor.set_data_from_numpy(samples)
    result = await called(served, lambda c: c.infer(MODEL, [tensor], parameters={"scale": 1}))
    assert np.array_equal(samples_of(image_of(result)), samples[0])


async def test_json_alone(served: RunningGateway) -> None:
    text = base64.b64encode(drawn()).decode()
    result = await called(
        served,
        lambda client: client.infer(
            MODEL,
            [image_input(text, binary=False)],
            outputs=[InferRequestedOutput("image", binary_data=False)],
            parameters={"scale": 2},
        ),
    )
    (encoded,) = result.as_numpy("image")
    assert base64.b64decode(encoded) == (await served.upscale(scale=2)).content


@pytest.mark.parametrize(
    ("model", "picture", "parameters", "status", "said"),
    [
        ("other", drawn(), {"scale": 2}, "404", "There is no model 'other'"),
        (MODEL, drawn(), {"scale": 99}, "422", "The scale must be from 1 to 8"),
        (MODEL, b"no picture", {"scale": 2}, "415", "not an image"),
        (UNSERVED, drawn(), {"scale": 2}, "503", ""),
    ],
)
async def test_errors_reach_the_caller(
    served: RunningGateway,
    model: str,
    picture: bytes,
    parameters: dict[str, Any],
    status: str,
    said: str,
) -> None:
    with pytest.raises(InferenceServerException) as raised:
        await called(
            served, lambda c: c.infer(model, [image_input(picture)], parameters=parameters)
        )
    assert raised.value.status() == status
    assert said in raised.value.message()


async def test_several_at_once(served: RunningGateway, worker: ScriptedWorker) -> None:
    def ask(client: InferenceServerClient) -> list[int]:
        pictures = [image_input(drawn(8 + n, 8)) for n in range(4)]
        calls = [
            client.async_infer(
                "anysr",
                [picture],
                outputs=[InferRequestedOutput("image", binary_data=True)],
                parameters={"scale": 2},
            )
            for picture in pictures
        ]
        return [samples_of(image_of(call.get_result())).shape[1] for call in calls]

    assert await called(served, ask) == [16, 18, 20, 22]
    assert len(worker.claims) == 4
