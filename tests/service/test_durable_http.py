"""`durable` over real HTTP: refused where the queue's Redis keeps nothing on disk, and at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.durability.server import APPENDING, TrialServer, any_server, running
from jobs.settings import QueueSettings
from jobs.settings_errors import SettingsError
from service.main import check_durable
from tests.service.harness import (
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
)

PNG = {"Content-Type": "image/png"}


async def test_a_durable_job_is_refused_and_nothing_is_queued(served: RunningGateway) -> None:
    """The tests' Redis has no append-only file."""
    params = {"scale": 2, "durable": "true"}
    answer = await served.client.post("/jobs", params=params, content=drawn(), headers=PNG)
    members = assert_problem(answer, 501, "not_durable")
    assert "appendonly yes" in members["detail"]
    assert (await served.gateway.queue.submissions.stats()).queued == 0
    params["durable"] = "false"
    answer = await served.client.post("/jobs", params=params, content=drawn(), headers=PNG)
    assert answer.status_code == 202
    answer = await served.client.post("/upscale", params=params, content=drawn(), headers=PNG)
    assert_problem(answer, 422, "invalid_request")


async def test_a_batch_is_refused_as_well(served: RunningGateway) -> None:
    batch = {"sources": [{"image_url": "https://example.com/a.png"}], "options": {"scale": 2}}
    answer = await served.client.post("/batches", json=batch | {"durable": True})
    assert_problem(answer, 501, "not_durable")


async def test_the_setting_holds_where_a_request_says_nothing(
    start: Start, worker: ScriptedWorker
) -> None:
    await worker.heartbeat()
    async with start(durable=True) as served:
        own: dict[str, str]
        for own, status in (({}, 501), ({"durable": "false"}, 202)):
            answer = await served.client.post(
                "/jobs", params={"scale": 2, **own}, content=drawn(), headers=PNG
            )
            assert answer.status_code == status


async def test_the_gateway_does_not_start_with_a_server_that_cannot(
    redis_url: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"ANYSR_DURABLE: .*appendonly yes.*") as refused:
        await check_durable(redis_url, QueueSettings())
    assert "\n" not in str(refused.value)
    options = {**APPENDING, "appendfsync": "always"}
    with running(TrialServer(any_server(), tmp_path / "server", options)) as server:
        await check_durable(server.url, QueueSettings())
        url = server.url
    await check_durable(url, QueueSettings())  # one that is away is asked with each job
