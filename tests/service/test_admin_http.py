"""POST /admin/reload: its key, its effect on the catalog, and /health/ready after it."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from jobs.heartbeat import WorkerHeartbeat
from jobs.redis_queue import RedisQueue
from models.catalog import CATALOG_FILE, Catalog, CatalogError, read_valid_entries, write_catalog
from service.catalog_store import CatalogStore
from service.settings import GatewaySettings
from tests.service.harness import (
    CAPABILITIES,
    MODEL,
    UNSERVED,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    cost_model,
    model_entry,
)

KEY = "a-key-of-many-letters"


async def reload(served: RunningGateway, key: str | None = KEY) -> httpx.Response:
    headers = {} if key is None else {"Authorization": key if " " in key else f"Bearer {key}"}
    return await served.client.post("/admin/reload", headers=headers)


async def test_the_right_key_calls_all(start: Start, queue: RedisQueue) -> None:
    async with start(admin_key=KEY) as served:
        answer = await reload(served)
        assert (answer.status_code, answer.json()) == (202, {"reloads": 1})
        assert (await reload(served)).json() == {"reloads": 2}
    assert await queue.registry.reloads() == 2


@pytest.mark.parametrize("key", [None, "wrong", KEY + "x", KEY[:-1], f"Basic {KEY}"])
async def test_any_other_key_calls_nobody(start: Start, queue: RedisQueue, key: str | None) -> None:
    async with start(admin_key=KEY) as served:
        response = await reload(served, key)
        members = assert_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"
    assert KEY not in json.dumps(members)
    assert await queue.registry.reloads() == 0


@pytest.mark.parametrize("unset", [None, ""])
async def test_without_a_key_nobody_may(start: Start, queue: RedisQueue, unset: str | None) -> None:
    async with start(admin_key=unset) as served:
        for key in (None, "any"):
            assert_problem(await reload(served, key), 403, "admin_disabled")
    assert await queue.registry.reloads() == 0


def test_a_short_key_is_refused_and_not_printed() -> None:
    with pytest.raises(ValidationError, match="at least 16") as refusal:
        GatewaySettings.model_validate({"admin_key": "short secret"})
    assert "short secret" not in str(refusal.value)
    assert KEY not in repr(GatewaySettings.model_validate({"admin_key": KEY}))


async def until_followed(served: RunningGateway, number: int) -> None:
    async with asyncio.timeout(10):
        while served.gateway.catalogs.reloads != number:  # noqa: ASYNC110  as a caller would look
            await asyncio.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_catalog(tmp_path, Catalog(default=MODEL, models=(model_entry(MODEL),)))
    return tmp_path


@pytest.fixture
def catalogs(folder: Path) -> CatalogStore:
    return CatalogStore(partial(read_valid_entries, folder))


async def test_a_new_entry_is_offered_when_a_worker_has_it(
    start: Start, worker: ScriptedWorker, queue: RedisQueue, folder: Path, catalogs: CatalogStore
) -> None:
    asked: dict[str, Any] = {"scale": 2, "model": UNSERVED}
    async with start(catalogs=catalogs) as served:
        assert_problem(await served.upscale(**asked), 422, "unknown_model")
        both = (model_entry(MODEL), model_entry(UNSERVED))
        write_catalog(folder, Catalog(default=MODEL, models=both))
        await until_followed(served, await queue.registry.request_reload())
        members = assert_problem(await served.upscale(**asked), 503, "not_ready")
        assert UNSERVED in members["detail"]
        models = (await served.client.get("/models")).json()["models"]
        assert [(m["name"], m["ready"]) for m in models] == [(MODEL, True), (UNSERVED, False)]
        costs = cost_model().to_dict()
        heartbeat = WorkerHeartbeat(
            "new", True, (UNSERVED,), costs, capabilities=(UNSERVED, f"{UNSERVED}@1")
        )
        await queue.registry.publish_heartbeat(heartbeat)
        await served.gateway.snapshots.refresh()
        assert (await served.upscale(**asked)).status_code == 200
        pinned = await served.upscale(**asked, anysr_width=0.25)
        assert_problem(pinned, 503, "not_ready")
    assert [claim.job.requirement for claim in worker.claims] == [UNSERVED]


async def test_broken_entries_are_reported_and_change_nothing(
    start: Start, worker: ScriptedWorker, queue: RedisQueue, folder: Path, catalogs: CatalogStore
) -> None:
    async with start(catalogs=catalogs) as served:
        content = json.loads((folder / CATALOG_FILE).read_text())
        content["models"][0]["halo"] = "wide"
        content["models"].append({"name": "bare"})
        (folder / CATALOG_FILE).write_text(json.dumps(content))
        await until_followed(served, await queue.registry.request_reload())
        answer = await served.client.get("/health/ready")
        state = answer.json()["catalog"]
        assert (answer.status_code, state["reloads"]) == (200, 1)
        assert set(state["broken"]) == {MODEL, "bare"}
        assert state["broken"][MODEL].startswith("halo: ")
        assert (await served.upscale(scale=2, model=MODEL)).status_code == 200
        (folder / CATALOG_FILE).unlink()
        await until_followed(served, await queue.registry.request_reload())
        state = (await served.client.get("/health/ready")).json()["catalog"]
        assert "cannot read" in state["broken"][CATALOG_FILE]
        assert (await served.upscale(scale=2, model=MODEL)).status_code == 200
    assert worker.claims


async def test_ready_tells_what_is_broken_at_a_worker(start: Start, queue: RedisQueue) -> None:
    broken = {"torn": "differs from its checksum"}
    costs = cost_model().to_dict()
    heartbeat = WorkerHeartbeat(
        "w", True, (MODEL,), costs, capabilities=CAPABILITIES, broken=broken, reloads=3
    )
    await queue.registry.publish_heartbeat(heartbeat)
    async with start() as served:
        answer = (await served.client.get("/health/ready")).json()
    assert answer["status"] == "ready"
    [worker] = answer["workers"]
    assert (worker["broken"], worker["reloads"]) == (broken, 3)


def test_a_gateway_does_not_start_on_a_catalog_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot read"):
        CatalogStore(partial(read_valid_entries, tmp_path))
