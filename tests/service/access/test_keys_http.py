"""Keys over real HTTP: who is let in, and whose job it is."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.key_edits import remove_key
from service.metrics import MOST_CLIENTS, GatewayMetrics
from tests.service.harness import (
    MODEL,
    UNSERVED,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
)
from tests.support.key_files import id_of, new_key
from tests.support.waiting import eventually

OPEN = (
    "/",
    "/docs",
    "/openapi.json",
    "/static/app.js",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
)
JOB = "/jobs/" + 32 * "0"
BATCH = "/batches/" + 32 * "0"
V2_MODEL = "/v2/models/anysr"
VERSION = f"{V2_MODEL}/versions/1"
GUARDED = (
    *(("POST", "/upscale"), ("POST", "/jobs"), ("GET", "/estimate"), ("GET", "/models")),
    *(("GET", JOB), ("GET", f"{JOB}/result"), ("GET", f"{JOB}/events"), ("DELETE", JOB)),
    *(("POST", "/uploads"), ("POST", "/batches"), ("GET", BATCH), ("GET", f"{BATCH}/items")),
    *(("GET", f"{BATCH}/events"), ("DELETE", BATCH)),
    *(("GET", V2_MODEL), ("GET", f"{V2_MODEL}/ready"), ("POST", f"{V2_MODEL}/infer")),
    *(("GET", VERSION), ("GET", f"{VERSION}/ready"), ("POST", f"{VERSION}/infer")),
)


def route_of(path: str) -> str:
    """The route of a path, as OpenAPI names it."""
    known = path.replace(JOB, "/jobs/{job_id}").replace(BATCH, "/batches/{batch_id}")
    known = known.replace(VERSION, f"{V2_MODEL}/versions/{{version}}")
    return known.replace(V2_MODEL, "/v2/models/{name}")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The path of a file that does not exist yet."""
    return tmp_path / "keys.toml"


@pytest.fixture
def shop(key_file: Path) -> dict[str, str]:
    """Headers with a key of the client `shop`."""
    return new_key(key_file, "shop")


@pytest.fixture
async def locked(
    start: Start, worker: ScriptedWorker, key_file: Path, shop: dict[str, str]
) -> AsyncIterator[RunningGateway]:
    """A gateway that needs keys, and a client that sends none."""
    assert worker.go.is_set()
    assert shop
    async with start(keys=key_file) as served:
        yield served


async def post_job(served: RunningGateway, key: dict[str, str], **params: Any) -> httpx.Response:
    return await served.client.post(
        "/jobs",
        params={"scale": 2, **params},
        content=drawn(),
        headers={"Content-Type": "image/png", **key},
    )


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_a_key_is_needed(
    locked: RunningGateway, method: str, path: str, shop: dict[str, str]
) -> None:
    missing = await locked.client.request(method, path)
    assert (missing.status_code, missing.json()["code"]) == (401, "unauthorized")
    assert missing.headers["www-authenticate"] == "Bearer"
    wrong = {"Authorization": shop["Authorization"][:-1] + "~"}
    refused = await locked.client.request(method, path, headers=wrong)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert (await locked.client.request(method, path, headers=shop)).status_code != 401


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ("", "Bearer"),
        ("Bearer", "Bearer"),
        ("Basic YTpi", "Bearer"),
        ("Bearer \xff\xfe", 'Bearer error="invalid_token"'),
        ("Bearer anysr_", 'Bearer error="invalid_token"'),
        ("Bearer " + 10_000 * "x", 'Bearer error="invalid_token"'),
        ('Bearer "; DROP TABLE keys', 'Bearer error="invalid_token"'),
    ],
)
async def test_a_malformed_header_is_401(
    locked: RunningGateway, header: str, challenge: str
) -> None:
    given = [(b"authorization", header.encode("latin-1"))]
    response = await locked.client.get("/models", headers=given)
    assert_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == challenge


async def test_what_is_open_stays_open(locked: RunningGateway) -> None:
    for path in OPEN:
        assert (await locked.client.get(path)).status_code == 200, path


async def test_without_keys_nobody_needs_one(served: RunningGateway) -> None:
    job = await served.submit()
    assert (await served.client.get(f"/jobs/{job['id']}")).status_code == 200
    assert (await served.client.get("/models")).status_code == 200
    described = (await served.client.get("/openapi.json")).json()
    assert "security" not in described["paths"]["/upscale"]["post"]


async def test_openapi_names_the_key(locked: RunningGateway) -> None:
    described = (await locked.client.get("/openapi.json")).json()
    scheme = described["components"]["securitySchemes"]["ClientKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    needing = set()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if operation.get("security") == [{"ClientKey": []}]:
                needing.add((method.upper(), path))
                assert {"401", "429"} <= operation["responses"].keys(), path
            else:
                signed = path == "/image"  # a signature stands for a key
                assert signed or path in OPEN or path.startswith("/admin/"), f"{path} needs no key"
    assert needing == {(method, route_of(path)) for method, path in GUARDED}


async def test_a_picture_for_a_client(locked: RunningGateway, shop: dict[str, str]) -> None:
    response = await locked.client.post(
        "/upscale",
        params={"scale": 2},
        content=drawn(),
        headers={"Content-Type": "image/png", **shop},
    )
    assert response.status_code == 200, response.text
    assert "ratelimit" not in response.headers


async def test_a_refused_body_is_not_read(locked: RunningGateway) -> None:
    """The answer comes while the body has only begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", locked.port)
    writer.write(
        b"POST /upscale?scale=2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Content-Length: 1000000\r\n\r\n" + drawn()[:20]
    )
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 401 ")


async def test_a_job_is_its_clients_alone(
    locked: RunningGateway, key_file: Path, shop: dict[str, str], worker: ScriptedWorker
) -> None:
    worker.go.clear()
    second_key, stranger = new_key(key_file, "shop"), new_key(key_file, "stranger")
    await let_in(locked, stranger)
    job = (await post_job(locked, shop)).json()
    here = f"/jobs/{job['id']}"
    for method, path in (
        *(("GET", here), ("GET", f"{here}/result"), ("GET", f"{here}/events")),
        ("DELETE", here),
    ):
        response = await locked.client.request(method, path, headers=stranger)
        assert_problem(response, 404, "job_not_found")
    seen = await locked.client.get(here, headers=second_key)
    assert seen.json()["status"] in ("queued", "running")

    worker.go.set()
    await locked.gateway.queue.submissions.wait(job["id"], 20)
    assert (await locked.client.get(f"{here}/result", headers=shop)).status_code == 200
    events = await locked.client.get(f"{here}/events", headers=second_key)
    assert '"status":"succeeded"' in events.text
    assert (await locked.client.delete(here, headers=shop)).json()["status"] == "succeeded"


async def test_a_job_from_before_the_keys_is_nobodys(
    start: Start, worker: ScriptedWorker, key_file: Path, shop: dict[str, str]
) -> None:
    assert worker.go.is_set()
    async with start() as unlocked:
        job = await unlocked.submit()
        async with start(keys=key_file) as locked:
            response = await locked.client.get(f"/jobs/{job['id']}", headers=shop)
            assert_problem(response, 404, "job_not_found")


async def let_in(served: RunningGateway, key: dict[str, str]) -> None:
    """Wait until a gateway has read a new key."""

    async def accepted() -> bool:
        return (await served.client.get("/models", headers=key)).status_code == 200

    await eventually(accepted, "the gateway accepts the new key")


async def test_a_key_that_is_revoked_stops_and_others_stay(
    locked: RunningGateway, key_file: Path, shop: dict[str, str]
) -> None:
    other = new_key(key_file, "shop")
    await let_in(locked, other)
    assert remove_key(key_file, id_of(shop)) == "shop"

    async def refused() -> bool:
        return (await locked.client.get("/models", headers=shop)).status_code == 401

    await eventually(refused, "the revoked key is refused")
    assert (await locked.client.get("/models", headers=other)).status_code == 200


def replace(path: Path, content: bytes | None) -> None:
    """Write a file anew, or remove it."""
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)


async def test_a_damaged_file_changes_nothing_and_is_logged(
    locked: RunningGateway, key_file: Path, shop: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    replace(key_file, b"[clients.shop")
    await eventually(lambda: "the keys stay as they are" in caplog.text, "the fault is logged")
    assert (await locked.client.get("/models", headers=shop)).status_code == 200
    replace(key_file, None)
    await eventually(lambda: "cannot be read" in caplog.text, "the missing file is logged")
    assert (await locked.client.get("/models", headers=shop)).status_code == 200
    replace(key_file, b"")
    await let_in(locked, new_key(key_file, "late"))


async def test_a_client_names_its_models_alone(locked: RunningGateway, key_file: Path) -> None:
    narrow = new_key(key_file, "narrow", models=[UNSERVED])
    await let_in(locked, narrow)
    response = await post_job(locked, narrow, model=MODEL)
    members = assert_problem(response, 403, "model_not_allowed")
    assert UNSERVED in members["detail"]
    picture: dict[str, Any] = {"width": 20, "height": 12, "format": "png", "scale": 2}
    estimate = await locked.client.get(
        "/estimate", params={**picture, "model": MODEL}, headers=narrow
    )
    assert_problem(estimate, 403, "model_not_allowed")
    assert (await post_job(locked, narrow)).status_code == 202


async def test_the_largest_budget_is_that_of_the_client(
    locked: RunningGateway, key_file: Path
) -> None:
    brief = new_key(key_file, "brief", max_budget_ms=4000.0)
    await let_in(locked, brief)
    limits = (await locked.client.get("/models", headers=brief)).json()["limits"]
    assert limits["max_budget_ms"] == 4000
    members = assert_problem(
        await post_job(locked, brief, latency_budget_ms=4001), 422, "invalid_request"
    )
    assert "at most 4000" in members["detail"]
    assert (await post_job(locked, brief, latency_budget_ms=4000)).status_code == 202
    default = await post_job(locked, brief)
    assert float(default.headers["x-anysr-budget-ms"]) == 4000


async def test_the_name_is_in_log_and_metrics_and_the_key_is_nowhere(
    locked: RunningGateway, shop: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    job = (await post_job(locked, shop)).json()
    await locked.gateway.queue.submissions.wait(job["id"], 20)
    await eventually(
        lambda: any(record.message == "job ended" for record in caplog.records), "the end is logged"
    )
    named = [record for record in caplog.records if getattr(record, "client", None) == "shop"]
    assert {record.name for record in named} >= {"anysr.requests", "service.dispatcher"}
    text = (await locked.client.get("/metrics")).text
    assert 'anysr_client_requests_total{client="shop",status="202"} 1.0' in text
    assert 'anysr_client_pixels_total{client="shop"} 960.0' in text
    secret = shop["Authorization"].rpartition("_")[2]
    logged = json.dumps([str(vars(record)) for record in caplog.records])
    assert secret not in logged + text
    view = await locked.gateway.queue.submissions.view(job["id"])
    assert view.job.client == "shop"


def test_the_names_in_metrics_are_bounded() -> None:
    metrics = GatewayMetrics()
    for number in range(2 * MOST_CLIENTS):
        metrics.client_request(f"client-{number}", 200)
    metrics.client_request("client-0", 200)
    text = metrics.exposition("")[0].decode()
    assert text.count("anysr_client_requests_total{") == MOST_CLIENTS + 1
    assert f'{{client="*",status="200"}} {float(MOST_CLIENTS)}' in text
    assert '{client="client-0",status="200"} 2.0' in text


async def test_a_gateway_that_others_reach_without_a_key_warns(
    start: Start, key_file: Path, shop: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert shop
    words = "anyone who reaches"
    for settings, warns in (
        ({"host": "127.0.0.1"}, False),
        ({"host": "localhost"}, False),
        ({"host": "0.0.0.0", "keys": key_file}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "upscale.example.com"}, True),
    ):
        caplog.clear()
        async with start(**settings):
            assert (words in caplog.text) == warns, settings


async def test_pages_of_allowed_origins_may_send_keys(
    start: Start, worker: ScriptedWorker, key_file: Path, shop: dict[str, str]
) -> None:
    assert worker.go.is_set()
    origin = {"Origin": "https://page.example"}
    async with start(keys=key_file, cors_origins=("https://page.example",)) as served:
        preflight = await served.client.options(
            "/upscale",
            headers={
                **origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        assert preflight.status_code == 200
        answer = await served.client.get("/models", headers={**origin, **shop})
        assert "RateLimit-Policy" in answer.headers["access-control-expose-headers"]
