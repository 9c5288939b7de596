"""Keys and limits of clients on the protocol's routes."""

from __future__ import annotations

from pathlib import Path

from tests.service.harness import MODEL, UNSERVED, ScriptedWorker, Start, drawn
from tests.service.inference.messages import INFER, assert_error, base64_input, picture_of
from tests.support.key_files import new_key

MODELS = ("/v2/models/anysr", "/v2/models/anysr/ready", "/v2/models/anysr/versions/1")
REQUEST = {"inputs": [base64_input(drawn())], "parameters": {"scale": 2}}


async def test_models_need_a_key_and_health_does_not(
    start: Start, worker: ScriptedWorker, tmp_path: Path
) -> None:
    key = new_key(tmp_path / "keys.toml", "shop")
    async with start(keys=tmp_path / "keys.toml") as served:
        for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
            assert (await served.client.get(path)).status_code == 200
        for path in MODELS:
            response = await served.client.get(path)
            assert_error(response, 401, "unauthorized")
            assert response.headers["www-authenticate"] == "Bearer"
            assert (await served.client.get(path, headers=key)).status_code == 200
        assert_error(await served.client.post(INFER, json=REQUEST), 401, "unauthorized")
        assert not worker.claims
        assert picture_of(await served.client.post(INFER, json=REQUEST, headers=key))
        assert worker.claims[0].job.client == "shop"


async def test_limits_of_a_client(start: Start, worker: ScriptedWorker, tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    few = new_key(path, "few", pixels_per_day=1000)
    named = new_key(path, "named", models=[MODEL], max_budget_ms=500)
    async with start(keys=path) as served:
        first, second = [
            await served.client.post(INFER, json=REQUEST, headers=few) for _ in range(2)
        ]
        assert first.headers["ratelimit"].startswith('"pixels";r=40;')
        assert_error(second, 429, "quota_exceeded")
        url = f"/v2/models/{UNSERVED}/infer"
        response = await served.client.post(url, json=REQUEST, headers=named)
        assert_error(response, 403, "model_not_allowed")
        longer = REQUEST | {"parameters": {"scale": 2, "budget_ms": 501}}
        response = await served.client.post(INFER, json=longer, headers=named)
        assert_error(response, 422, "invalid_request")
    assert len(worker.claims) == 1
