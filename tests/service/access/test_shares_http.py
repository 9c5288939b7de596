"""Shares over real HTTP: what one client has waiting leaves the others their parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from jobs.keys import Keys
from jobs.settings import QueueSettings
from scheduling.cost_line import Line
from tests.service.harness import (
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    cost_model,
    drawn,
)
from tests.support.key_files import new_key

BUDGET_MS = 10_000
PICTURE: dict[str, Any] = {"width": 20, "height": 12, "format": "png", "scale": 2}
"""The picture that `drawn` makes, as for GET /estimate."""
Headers = dict[str, str]


@pytest.fixture
async def busy(worker: ScriptedWorker) -> ScriptedWorker:
    """A worker whose first run does not end, and each of which should take a second."""
    worker.go.clear()
    slow = Line(1000.0, 0.0, 0.0)
    worker.costs = replace(cost_model(), lines={**cost_model().lines, "decode": slow})
    await worker.heartbeat()
    return worker


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The path of a file that does not exist yet."""
    return tmp_path / "keys.toml"


async def submit(served: RunningGateway, key: Headers, **wishes: Any) -> httpx.Response:
    params: dict[str, Any] = {"scale": 2} | wishes
    return await served.client.post(
        "/jobs",
        params=params,
        content=drawn(),
        headers={"Content-Type": "image/png", **key},
    )


async def flood(served: RunningGateway, key: Headers, most: int = 20) -> httpx.Response:
    """Submit jobs until one is refused."""
    for _ in range(most):
        answer = await submit(served, key, latency_budget_ms=BUDGET_MS)
        if answer.status_code != 202:
            return answer
    pytest.fail(f"{most} jobs were accepted")


async def default_budget_ms(served: RunningGateway, key: Headers) -> float:
    answer = await served.client.get("/estimate", params=PICTURE, headers=key)
    assert answer.status_code == 200, answer.text
    return float(answer.json()["default_budget_ms"])


async def test_client_beyond_its_share_is_refused_and_the_others_are_not(
    start: Start, busy: ScriptedWorker, key_file: Path
) -> None:
    shop, many = new_key(key_file, "shop"), new_key(key_file, "many")
    async with start(keys=key_file) as served:
        assert (await submit(served, shop, latency_budget_ms=BUDGET_MS)).status_code == 202
        await busy.claimed.wait()
        refused = await flood(served, many)
        members = assert_problem(refused, 429, "share_exceeded")
        assert 1 <= members["retry_after_s"] <= BUDGET_MS / 1e3
        assert refused.headers["retry-after"] == str(members["retry_after_s"])
        waiting = (await served.stats()).queued
        assert 4 <= waiting <= 7, "half of nine seconds"
        assert (await submit(served, shop, latency_budget_ms=BUDGET_MS)).status_code == 202
        assert (await served.stats()).queued == waiting + 1, "nothing is left of the refused one"


async def test_shares_of_the_key_file_are_weights(
    start: Start, busy: ScriptedWorker, key_file: Path
) -> None:
    shop, many = new_key(key_file, "shop"), new_key(key_file, "many", share=9)
    async with start(keys=key_file) as served:
        assert (await submit(served, shop, latency_budget_ms=BUDGET_MS)).status_code == 202
        await busy.claimed.wait()
        await flood(served, many)
        assert (await served.stats()).queued >= 8, "nine tenths of nine seconds"


async def test_estimate_names_a_budget_that_is_within_the_clients_share(
    start: Start, busy: ScriptedWorker, key_file: Path
) -> None:
    shop, many = new_key(key_file, "shop"), new_key(key_file, "many")
    async with start(keys=key_file) as served:
        assert (await submit(served, shop, latency_budget_ms=BUDGET_MS)).status_code == 202
        await busy.claimed.wait()
        await flood(served, many)
        found_ms = await default_budget_ms(served, many)
        assert found_ms > BUDGET_MS
        assert await default_budget_ms(served, shop) < found_ms
        assert (await submit(served, many, latency_budget_ms=found_ms)).status_code == 202
        assert (await submit(served, many)).status_code == 202, "and so does the default of a job"


async def test_callers_without_a_key_are_one_client_beside_those_with_keys(
    start: Start,
    busy: ScriptedWorker,
    key_file: Path,
    raw_redis: Redis,
    queue_settings: QueueSettings,
) -> None:
    """Two gateways on one queue, one of them without keys."""
    shop, active = new_key(key_file, "shop"), Keys(queue_settings.namespace).active
    async with start(keys=key_file) as guarded, start() as unguarded:
        assert (await submit(unguarded, {}, latency_budget_ms=BUDGET_MS)).status_code == 202
        await busy.claimed.wait()
        assert await raw_redis.exists(active) == 0, "nobody is weighed where nobody has a key"
        assert (await submit(guarded, shop, latency_budget_ms=BUDGET_MS)).status_code == 202
        assert_problem(await flood(unguarded, {}), 429, "share_exceeded")
        assert await default_budget_ms(unguarded, {}) > BUDGET_MS
        assert (await submit(guarded, shop, latency_budget_ms=BUDGET_MS)).status_code == 202
