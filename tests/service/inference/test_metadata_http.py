"""The protocol's routes of server and models over real HTTP."""

from __future__ import annotations

import pytest

from telemetry.build import package_version
from tests.service.harness import MODEL, UNSERVED, RunningGateway, Start
from tests.service.inference.messages import assert_error


async def test_the_server(served: RunningGateway) -> None:
    response = await served.client.get("/v2")
    assert response.json() == {
        "name": "anysr-serve",
        "version": package_version(),
        "extensions": ["binary_tensor_data", "parameters"],
    }


async def test_health(served: RunningGateway) -> None:
    assert (await served.client.get("/v2/health/live")).json() == {"live": True}
    assert (await served.client.get("/v2/health/ready")).json() == {"ready": True}
    assert (await served.client.head("/v2/health/ready")).status_code == 200


async def test_health_without_a_worker(start: Start) -> None:
    async with start() as served:
        assert (await served.client.get("/v2/health/live")).status_code == 200
        for path in ("/v2/health/ready", "/v2/models/anysr/ready"):
            response = await served.client.get(path)
            assert_error(response, 503, "not_ready")
            assert int(response.headers["retry-after"]) >= 1


async def test_a_gateway_that_stops_is_not_ready(served: RunningGateway) -> None:
    served.gateway.closing.set()
    for path in ("/v2/health/ready", "/v2/models/anysr/ready"):
        assert_error(await served.client.get(path), 503, "not_ready")


@pytest.mark.parametrize("version", ["", "/versions/1"])
async def test_ready_models(served: RunningGateway, version: str) -> None:
    for name in ("anysr", MODEL):
        response = await served.client.get(f"/v2/models/{name}{version}/ready")
        assert response.json() == {"name": name, "ready": True}
    response = await served.client.get(f"/v2/models/{UNSERVED}{version}/ready")
    assert UNSERVED in assert_error(response, 503, "not_ready")


@pytest.mark.parametrize("version", ["", "/versions/1"])
async def test_every_model_is_described(served: RunningGateway, version: str) -> None:
    listed = (await served.client.get("/models")).json()["models"]
    for name in ("anysr", *(model["name"] for model in listed)):
        assert (await served.client.get(f"/v2/models/{name}{version}")).json() == {
            "name": name,
            "versions": ["1"],
            "platform": "anysr_serve",
            "inputs": [
                {"name": "image", "datatype": "BYTES", "shape": [1]},
                {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1]},
            ],
            "outputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}],
        }
