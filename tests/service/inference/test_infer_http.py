"""POST /v2/models/{name}/infer over real HTTP: valid requests in all their forms."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import numpy as np
import pytest
from PIL import Image

from tests.service.harness import (
    MODEL,
    RunningGateway,
    ScriptedWorker,
    Start,
    drawn,
    encoded,
)
from tests.service.inference.messages import (
    INFER,
    base64_input,
    binary_input,
    body_of,
    element,
    infer,
    infer_binary,
    picture_of,
    samples_of,
)
from tests.support.waiting import eventually


async def test_the_picture_is_that_of_upscale(served: RunningGateway) -> None:
    """All forms of request and answer give the bytes that POST /upscale gives."""
    expected = (await served.upscale(scale=2.37)).content
    image = drawn()
    wish = {"parameters": {"scale": 2.37}}
    behind = element(image)
    tensor = binary_input("image", "BYTES", [1], len(behind))
    answers = [
        await infer(served, scale=2.37),
        await infer(served, scale="2.37"),
        await infer(served, scale=2.37, binary_data_output=True),
        await infer_binary(served, tensor, behind, **wish),
        await infer_binary(
            served,
            tensor,
            behind,
            outputs=[{"name": "image", "parameters": {"binary_data": True}}],
            **wish,
        ),
    ]
    assert [picture_of(answer) for answer in answers] == [expected] * len(answers)
    binary = ["inference-header-content-length" in answer.headers for answer in answers]
    assert binary == [False, False, True, False, True]


async def test_an_outputs_own_choice_counts_over_the_requests(served: RunningGateway) -> None:
    members = {
        "inputs": [base64_input(drawn())],
        "parameters": {"scale": 2, "binary_data_output": True},
        "outputs": [{"name": "image", "parameters": {"binary_data": False}}],
    }
    response = await infer(served, members)
    assert picture_of(response)
    assert response.headers["content-type"] == "application/json"


async def test_a_raw_picture(served: RunningGateway) -> None:
    response = await served.client.post(
        INFER,
        params={"scale": 2},
        content=drawn(),
        headers={"Inference-Header-Content-Length": "0"},
    )
    assert picture_of(response) == (await served.upscale(scale=2)).content
    assert response.headers["content-type"] == "application/octet-stream"


async def test_json_with_its_length_and_no_binary_data(served: RunningGateway) -> None:
    members = {"inputs": [base64_input(drawn())], "parameters": {"scale": 2}}
    content, headers = body_of(members)
    response = await served.client.post(INFER, content=content, headers=headers)
    assert picture_of(response) == (await served.upscale(scale=2)).content


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("batch", [[], [1]])
async def test_pixels(
    served: RunningGateway, worker: ScriptedWorker, channels: int, mode: str, batch: list[int]
) -> None:
    samples = np.random.default_rng(3).integers(0, 256, (9, 14, channels), dtype=np.uint8)
    tensor = binary_input("pixels", "UINT8", [*batch, *samples.shape], samples.size)
    response = await infer_binary(served, tensor, samples.tobytes(), parameters={"scale": 2})
    made = samples_of(picture_of(response))
    image = Image.fromarray(samples.squeeze(), mode)
    assert np.array_equal(made, samples_of(encoded(image.convert("RGB").resize((28, 18)))))
    job = worker.claims[0].job
    assert (job.source_width, job.source_height) == (14, 9)
    assert (job.output_format.value, job.strength) == ("png", 0)


async def test_the_format_of_pixels_can_be_asked_for(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    tensor = binary_input("pixels", "UINT8", [8, 8, 3], 192)
    for text in ("webp", "tiff"):
        await infer_binary(served, tensor, bytes(192), parameters={"scale": 2, "format": text})
    assert [claim.job.output_format.value for claim in worker.claims] == ["webp", "tiff"]


async def test_facts_of_the_answer(served: RunningGateway, worker: ScriptedWorker) -> None:
    members = {
        "id": "mine",
        "inputs": [base64_input(drawn())],
        "parameters": {"scale_w": 3, "scale_h": 2, "budget_ms": 9000, "strength": 0.5},
    }
    response = await infer(served, members)
    answer = response.json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("anysr", "1", "mine")
    facts = answer["parameters"]
    assert 0 < facts.pop("elapsed_ms") < 9000
    assert facts == {
        "request_id": worker.claims[0].job.id,
        "format": "png",
        "output_width": 60,
        "output_height": 24,
        "scale_w": 3.0,
        "scale_h": 2.0,
        "budget_ms": 9000.0,
        "deadline": "met",
        "model": MODEL,
        "width": 1.0,
        "reason": "widest",
        "predicted_ms": 102.0,
        "strength": 0.5,
        "expected_db": 32.1,
    }
    assert response.headers["x-anysr-reason"] == "widest"
    assert response.headers["x-request-id"] == facts["request_id"]


async def test_the_job_carries_the_parameters(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    await infer(
        served,
        scale=2, latency_budget_ms=4000, anysr_width=0.5, on_miss="reject", format="webp",
        lossless=True, metadata="keep",
    )  # fmt: skip
    job = worker.claims[0].job
    assert (job.budget_ms, job.pinned_width, job.on_miss.value) == (4000, 0.5, "reject")
    assert (job.output_format.value, job.lossless, job.metadata.value) == ("webp", True, "keep")


@pytest.mark.parametrize("version", ["", "/versions/1"])
async def test_the_path_names_the_model(
    served: RunningGateway, worker: ScriptedWorker, version: str
) -> None:
    url = f"/v2/models/{MODEL}{version}/infer"
    assert (await infer(served, url=url)).json()["model_name"] == MODEL
    assert worker.claims[0].job.model == MODEL
    await infer(served, url=f"/v2/models/anysr{version}/infer")
    assert worker.claims[1].job.model is None


async def test_members_of_other_extensions_are_passed_over(served: RunningGateway) -> None:
    tensor = {**base64_input(drawn()), "parameters": {"content_type": "base64"}}
    members = {"model_name": "anysr", "inputs": [tensor], "parameters": {"scale": 2}, "outputs": []}
    assert picture_of(await infer(served, members))


async def test_format_auto_by_the_image_types_of_accept(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    members = {"inputs": [base64_input(drawn())], "parameters": {"scale": 2, "format": "auto"}}
    for accept in ("application/json", "application/json, image/webp"):
        await served.client.post(INFER, json=members, headers={"Accept": accept})
    assert [claim.job.output_format.value for claim in worker.claims] == ["png", "webp"]


async def test_a_large_picture_in_base64(served: RunningGateway, worker: ScriptedWorker) -> None:
    """Request and answer are longer than what is coded at once."""
    samples = np.random.default_rng(5).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    picture = encoded(Image.fromarray(samples))
    worker.picture = picture + bytes(1)
    members = {"inputs": [base64_input(picture)], "parameters": {"scale": 1}}
    assert picture_of(await infer(served, members)) == worker.picture
    assert worker.claims[0].payload == picture


async def test_an_idempotency_key(served: RunningGateway, worker: ScriptedWorker) -> None:
    members = {"inputs": [base64_input(drawn())], "parameters": {"scale": 2}}
    headers = {"Idempotency-Key": "abc"}
    first, again = [
        await served.client.post(INFER, json=members, headers=headers) for _ in range(2)
    ]
    assert picture_of(first) == picture_of(again)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(worker.claims) == 1


async def test_a_caller_that_leaves_cancels_its_job(start: Start, worker: ScriptedWorker) -> None:
    worker.go.clear()
    async with start() as served:
        request = asyncio.create_task(infer(served))
        await worker.claimed.wait()
        request.cancel()
        await worker.cancelled.wait()


async def test_the_result_does_not_stay_in_the_queue(served: RunningGateway) -> None:
    response = await infer(served)
    job = response.headers["x-request-id"]

    async def gone() -> bool:
        return (await served.client.get(f"/jobs/{job}/result")).status_code == 410

    await eventually(gone, "the result is dropped")


async def test_pieces_as_they_arrive(served: RunningGateway) -> None:
    """A body in pieces of one byte, cut within JSON, length and picture."""
    behind = element(drawn())
    tensor = binary_input("image", "BYTES", [1], len(behind))
    content, headers = body_of({"inputs": [tensor], "parameters": {"scale": 2}}, behind)

    async def bytewise() -> AsyncIterator[bytes]:
        for at in range(len(content)):
            yield content[at : at + 1]

    response = await served.client.post(INFER, content=bytewise(), headers=headers)
    assert picture_of(response) == (await served.upscale(scale=2)).content


async def test_the_json_of_a_binary_answer_is_whole(served: RunningGateway) -> None:
    response = await infer(served, scale=2, binary_data_output=True)
    length = int(response.headers["inference-header-content-length"])
    assert json.loads(response.content[:length])["parameters"]["reason"] == "widest"
    assert int(response.headers["content-length"]) == len(response.content)
