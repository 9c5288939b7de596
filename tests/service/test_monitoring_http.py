"""Health and metrics on a port of their own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from jobs.redis_queue import RedisQueue
from service.settings import GatewaySettings
from telemetry.build import package_version
from tests.service.harness import ScriptedWorker, Start, assert_problem, drawn
from tests.support.waiting import eventually


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_the_callers_port_shows_the_status_alone(
    start: Start, worker: ScriptedWorker
) -> None:
    port = free_port()
    async with (
        start(metrics_port=port) as served,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as monitor,
    ):
        assert_problem(await served.client.get("/metrics"), 404, "not_found")
        assert (await served.client.get("/health/live")).json() == {"status": "live"}
        assert (await served.client.get("/health/ready")).json() == {"status": "ready"}
        assert (await served.upscale()).status_code == 200
        full = (await monitor.get("/health/ready")).json()
        assert [seen["id"] for seen in full["workers"]] == [worker.worker_id]
        assert full["queue"]["queued"] == 0
        metrics = await monitor.get("/metrics")
        assert 'anysr_http_requests_total{method="POST",route="/upscale"' in metrics.text
        assert (await monitor.head("/metrics")).status_code == 200
        for path in ("/", "/docs", "/models", "/jobs/none", "/openapi.json"):
            assert_problem(await monitor.get(path), 404, "not_found")
        assert_problem(await monitor.post("/upscale", content=drawn()), 404, "not_found")


async def test_who_is_not_ready_says_why_on_the_own_port(start: Start, queue: RedisQueue) -> None:
    await ScriptedWorker(queue).heartbeat(ready=False)
    port = free_port()
    async with start(metrics_port=port) as served:
        hidden = assert_problem(await served.client.get("/health/ready"), 503, "not_ready")
        assert "workers" not in hidden
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/health/ready")
        shown = assert_problem(answer, 503, "not_ready")
        assert [worker["ready"] for worker in shown["workers"]] == [False]


async def test_a_foreign_host_is_refused_there_too(start: Start) -> None:
    port = free_port()
    async with start(metrics_port=port, host="127.0.0.1"), httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": "a.example"})
        assert_problem(answer, 421, "misdirected_request")


async def test_the_own_port_ends_with_the_gateway(start: Start) -> None:
    port = free_port()
    async with start(metrics_port=port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def test_a_port_that_is_taken_ends_the_gateway() -> None:
    script = (
        "import os, sys; from cli.main import app; os.environ['ANYSR_METRICS_PORT'] = sys.argv[1];"
        "app(['gateway', '--port', '0'])"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", script, port],
            env={"ANYSR_REDIS_URL": "redis://127.0.0.1:1/0"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode != 0
    assert f"the address of ANYSR_METRICS_PORT cannot be opened: 127.0.0.1:{port}" in done.stderr


def test_one_port_cannot_be_both() -> None:
    with pytest.raises(ValidationError, match="metrics_port must not be port"):
        GatewaySettings(port=9000, metrics_port=9000)


async def test_traffic_and_build_are_counted(start: Start, worker: ScriptedWorker) -> None:
    picture = drawn(20, 12)
    async with start() as served:
        made = await served.upscale(picture, scale=2)
        await served.upscale(b"no picture")
        job = await served.submit(scale=3)

        async def is_done() -> bool:
            return bool((await served.client.get(job["links"]["self"])).json()["run"])

        await eventually(is_done, "the job has run")
        fetched = await served.client.get(job["links"]["result"])
        await served.client.head(job["links"]["result"])
        out = len(made.content) + len(fetched.content)

        async def samples() -> dict[tuple[str, ...], float]:
            text = (await served.client.get("/metrics")).text
            return {
                (sample.name, sample.labels.get("direction", "")): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }

        async def all_sent() -> bool:
            return (await samples())["anysr_picture_bytes_total", "out"] == out

        await eventually(all_sent, "both pictures are counted as sent")
        seen = await samples()
        assert seen["anysr_pixels_total", "in"] == 2 * 20 * 12
        assert seen["anysr_pixels_total", "out"] == 20 * 12 * (4 + 9)
        assert seen["anysr_picture_bytes_total", "in"] == len(picture) + len(drawn())
        text = (await served.client.get("/metrics")).text
        python = ".".join(map(str, sys.version_info[:3]))
        assert f'version="{package_version()}"' in text
        assert f'anysr_build_info{{runtime="python {python}"' in text
    assert len(worker.claims) == 2
