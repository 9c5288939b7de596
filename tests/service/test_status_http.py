"""Models, health, metrics, documentation, and common headers and log lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from jobs.formats import WRITTEN, ImageFormat
from jobs.heartbeat import BackendState, GpuState, MachineState
from jobs.job import Job, JobView
from jobs.redis_queue import RedisQueue
from scheduling.request import DeferredRequest, EstimateRequest, UpscaleRequest
from telemetry.logs import json_lines
from tests.service.harness import (
    MODEL,
    UNSERVED,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    cost_model,
    drawn,
)

MACHINE = MachineState(0.75, 0.125, 2**30, 2**34, GpuState(0.5, 2**20, 2**36))


def families_of(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples_of(families: dict[str, Metric]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }


async def metrics_of(served: RunningGateway) -> dict[tuple[str, ...], float]:
    return samples_of(families_of((await served.client.get("/metrics")).text))


def lines_of(
    caplog: pytest.LogCaptureFixture, logger: str = "anysr.requests"
) -> list[dict[str, Any]]:
    """Lines of a logger, parsed from the JSON that a running gateway would write."""
    lines = json_lines()
    return [json.loads(lines.format(r)) for r in caplog.records if r.name == logger]


@contextlib.contextmanager
def freshly_stale(served: RunningGateway) -> Iterator[None]:
    """Make the snapshot more than a minute old."""
    snapshots = served.gateway.snapshots
    clock = snapshots._clock
    snapshots._clock = lambda: clock() + 61
    yield
    snapshots._clock = clock


async def test_models(served: RunningGateway) -> None:
    answer = (await served.client.get("/models")).json()
    assert answer["default"] == MODEL
    assert [model["name"] for model in answer["models"]] == [MODEL, UNSERVED]
    first = answer["models"][0]
    assert (first["default"], first["widths"]) == (True, [0.25, 0.5, 1.0])
    assert (first["min_scale"], first["max_scale"], first["halo"]) == (1.0, 8.0, 10)
    assert first["exactly_local"]
    assert first["licence"] == "Apache-2.0"
    assert first["quality"][0]["psnr_y"] == 32.1
    assert [model["takes_strength"] for model in answer["models"]] == [True, False]


async def test_models_come_with_the_limits_of_the_settings(start: Start) -> None:
    async with start(max_body_bytes=1000, max_source_pixels=99, max_output_pixels=300) as served:
        limits = (await served.client.get("/models")).json()["limits"]
    formats = limits.pop("formats")
    assert limits == {
        "max_body_bytes": 1000,
        "max_source_pixels": 99,
        "max_output_pixels": 300,
        "max_job_bytes": 3 << 30,
        "max_budget_ms": 600_000.0,
        "max_side": {f.value: f.max_side for f in WRITTEN},
    }
    assert [f["name"] for f in formats] == list(ImageFormat)
    assert formats[1] == {
        "name": "jpeg",
        "label": "JPEG",
        "media_type": "image/jpeg",
        "suffixes": [".jpg", ".jpeg"],
        "written_as": "jpeg",
        "max_side": 65_500,
        "lossy": True,
        "lossless": False,
        "transparency": False,
    }


async def test_the_page_answers_head_like_get(served: RunningGateway) -> None:
    head, get = await served.client.head("/"), await served.client.get("/")
    assert (head.status_code, get.status_code) == (200, 200)
    assert head.content == b""
    for name in ("content-type", "content-length", "etag", "content-security-policy"):
        assert head.headers[name] == get.headers[name]


async def test_disturbed_costs_are_reported(queue: RedisQueue, start: Start) -> None:
    costs = cost_model()
    costs.lines["decode"] = replace(costs.lines["decode"], disturbed=True)
    await ScriptedWorker(queue, worker_id="a", costs=costs).heartbeat()
    await ScriptedWorker(queue, worker_id="b").heartbeat()
    async with start() as served:
        workers = (await served.client.get("/health/ready")).json()["workers"]
        assert {worker["id"]: worker["costs_disturbed"] for worker in workers} == {
            "a": True,
            "b": False,
        }
        samples = await metrics_of(served)
        assert samples["anysr_worker_costs_disturbed", "mean"] == 0.5


async def test_backends_are_reported_with_the_refused_ones(queue: RedisQueue, start: Start) -> None:
    refused = {"openvino int8": "its picture is 30 dB from float32's"}
    plain = BackendState("onnx", "float32", refused)
    await ScriptedWorker(queue, worker_id="a", backends={MODEL: plain}).heartbeat()
    fast = BackendState("openvino", "int8")
    await ScriptedWorker(queue, worker_id="b", backends={MODEL: fast}).heartbeat()
    async with start() as served:
        workers = (await served.client.get("/health/ready")).json()["workers"]
        assert [worker["backends"][MODEL] for worker in workers] == [
            {"runtime": "onnx", "precision": "float32", "refused": refused},
            {"runtime": "openvino", "precision": "int8", "refused": {}},
        ]
        models = (await served.client.get("/models")).json()["models"]
        backends = {model["name"]: model["backends"] for model in models}
        assert backends[MODEL] == ["onnx float32", "openvino int8"]


async def test_live_without_a_worker(start: Start) -> None:
    async with start() as served:
        assert (await served.client.get("/health/live")).json() == {"status": "live"}


async def test_ready_when_a_worker_is_warm(served: RunningGateway) -> None:
    response = await served.client.get("/health/ready")
    assert response.status_code == 200
    answer = response.json()
    assert answer["status"] == "ready"
    worker: dict[str, object] = {"id": "scripted", "ready": True, "busy": False, "models": [MODEL]}
    worker |= {"pace": 1.0, "costs_disturbed": False, "machine": None, "reloads": 0, "broken": {}}
    worker["backends"] = {}
    assert answer["workers"] == [worker]
    assert answer["catalog"] == {"reloads": 0, "broken": {}}
    assert answer["queue"] == {"queued": 0, "running": 0, "oldest_age_ms": 0, "backlog_ms": 0}
    assert 0 <= answer["snapshot_age_ms"] < 600_000


async def test_ready_shows_the_machines(start: Start, queue: RedisQueue) -> None:
    await ScriptedWorker(queue, machine=MACHINE).heartbeat()
    async with start() as served:
        [worker] = (await served.client.get("/health/ready")).json()["workers"]
    assert worker["machine"] == {
        "cpu_load": 0.75,
        "cpu_steal": 0.125,
        "memory_available_bytes": 2**30,
        "memory_total_bytes": 2**34,
        "gpu": {"load": 0.5, "memory_used_bytes": 2**20, "memory_total_bytes": 2**36},
    }


async def test_a_stale_snapshot_counts_as_unknown(start: Start, queue: RedisQueue) -> None:
    """It does not count as idle: its workers may be gone, or busy."""
    await ScriptedWorker(queue).heartbeat()
    async with start(snapshot_seconds=60, snapshot_stale_seconds=60.001) as served:
        assert (await served.client.get("/health/ready")).status_code == 200
        with freshly_stale(served):
            members = assert_problem(await served.client.get("/health/ready"), 503, "not_ready")
            assert members["detail"].startswith("The queue cannot be reached")
            assert (members["workers"], members["queue"]) == ([], None)
            assert members["snapshot_age_ms"] > 60_000
            assert_problem(await served.upscale(), 503, "not_ready")
            text = (await served.client.get("/metrics")).text
        assert "anysr_queue_depth NaN" in text
        assert "anysr_queue_backlog_seconds NaN" in text
        assert "anysr_workers_live 0.0" in text
        assert "anysr_worker_pace_ratio{" not in text
        await served.gateway.snapshots.refresh()
        assert (await served.client.get("/health/ready")).status_code == 200


async def test_not_ready_shows_workers_and_queue(start: Start, queue: RedisQueue) -> None:
    await ScriptedWorker(queue).heartbeat(ready=False)
    async with start() as served:
        response = await served.client.get("/health/ready")
        members = assert_problem(response, 503, "not_ready")
        assert [worker["ready"] for worker in members["workers"]] == [False]
        assert members["queue"]["queued"] == 0
        assert response.headers["retry-after"] == "2"


async def test_not_ready_while_it_stops(served: RunningGateway) -> None:
    served.gateway.closing.set()
    assert_problem(await served.client.get("/health/ready"), 503, "not_ready")


async def test_ready_follows_the_workers(start: Start, queue: RedisQueue) -> None:
    worker = ScriptedWorker(queue)
    async with start() as served:
        assert (await served.client.get("/health/ready")).status_code == 503
        for change, status in (
            (worker.heartbeat(), 200),
            (queue.registry.retire_worker("scripted"), 503),
        ):
            await change
            await served.gateway.snapshots.refresh()
            assert (await served.client.get("/health/ready")).status_code == status


async def test_metrics_are_read_by_prometheus(
    served: RunningGateway, worker: ScriptedWorker
) -> None:
    await served.upscale()
    await served.upscale(scale=2, latency_budget_ms=1)
    await served.client.get("/no/such/path")
    await served.client.request("PROPFIND", "/models")
    response = await served.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = families_of(response.text)
    assert {
        *("anysr_http_requests", "anysr_http_request_duration_seconds", "anysr_jobs"),
        *("anysr_job_duration_seconds", "anysr_deadline_slack_seconds"),
        *("anysr_admission_rejected", "anysr_queue_depth", "anysr_queue_running"),
        *("anysr_queue_backlog_seconds", "anysr_queue_oldest_age_seconds"),
        *("anysr_workers_live", "anysr_workers_ready", "process_cpu_seconds"),
    } <= set(families)
    samples = samples_of(families)
    assert samples["anysr_http_requests_total", "POST", "/upscale", "200"] == 1
    assert samples["anysr_http_requests_total", "POST", "/upscale", "422"] == 1
    assert samples["anysr_http_requests_total", "GET", "unmatched", "404"] == 1
    assert samples["anysr_jobs_total", "succeeded", "widest"] == 1
    assert samples["anysr_admission_rejected_total", "budget_infeasible"] == 1
    assert samples["anysr_job_duration_seconds_count",] == 1
    assert samples["anysr_deadline_slack_seconds_count",] == 1
    assert samples["anysr_workers_live",] == 1
    assert samples["anysr_http_requests_total", "other", "/models", "405"] == 1
    assert worker.claims


async def test_metrics_show_the_queue_as_it_is(
    start: Start, queue: RedisQueue, make_job: Callable[..., Job]
) -> None:
    for cheapest_ms in (1500.0, 500.0):
        await queue.submissions.submit(make_job(cheapest_ms=cheapest_ms), b"")
    async with start() as served:
        samples = await metrics_of(served)
    assert samples["anysr_queue_depth",] == 2
    assert samples["anysr_queue_running",] == 0
    assert samples["anysr_queue_backlog_seconds",] == 2.0
    assert samples["anysr_queue_oldest_age_seconds",] >= 0
    assert 0 <= samples["anysr_snapshot_age_seconds",] < 600


async def test_machine_gauges_are_spreads_without_a_worker_label(
    start: Start, queue: RedisQueue
) -> None:
    busy = replace(MACHINE, cpu_load=0.25, gpu=None)
    for worker_id, machine in (("one", MACHINE), ("two", busy), ("three", None)):
        await ScriptedWorker(queue, worker_id=worker_id, machine=machine).heartbeat()
    async with start() as served:
        samples = await metrics_of(served)
        assert "one" not in (await served.client.get("/metrics")).text.split()
        loads = [samples["anysr_machine_cpu_load_ratio", over] for over in ("min", "mean", "max")]
        assert loads == [0.25, 0.5, 0.75]
        assert samples["anysr_machine_cpu_steal_ratio", "mean"] == 0.125
        assert samples["anysr_machine_memory_available_bytes", "max"] == 2**30
        assert samples["anysr_machine_gpu_load_ratio", "min"] == 0.5
        assert samples["anysr_machine_gpu_memory_used_bytes", "mean"] == 2**20
        assert samples["anysr_worker_pace_ratio", "max"] == 1.0
        assert samples["anysr_workers_live",] == 3
        await queue.registry.retire_worker("one")
        await served.gateway.snapshots.refresh()
        assert ("anysr_machine_gpu_load_ratio", "min") not in await metrics_of(served)


async def test_route_label_is_the_template(served: RunningGateway) -> None:
    await served.client.get("/jobs/no-such-job")
    await served.client.get("/static/no-such-file.js")
    text = (await served.client.get("/metrics")).text
    assert 'route="/jobs/{job_id}"' in text
    assert 'route="/static"' in text
    assert "no-such" not in text


async def test_problems_for_what_the_framework_refuses(served: RunningGateway) -> None:
    assert_problem(await served.client.get("/no/such/path"), 404, "not_found")
    assert_problem(await served.client.get("/static/none.js"), 404, "not_found")
    for path, methods in (
        ("/upscale", "POST"),
        ("/models", "GET, HEAD"),
        (f"/jobs/{32 * '0'}", "GET, DELETE, HEAD"),  # two routes of the service
        ("/", "GET, HEAD"),
        ("/static/app.js", "GET, HEAD"),
    ):
        response = await served.client.put(path)
        assert_problem(response, 405, "method_not_allowed")
        assert response.headers["allow"] == methods


async def test_an_internal_error_reveals_nothing(
    served: RunningGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: str) -> JobView:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(served.gateway.queue.submissions, "view", broken)
    response = await served.client.get(f"/jobs/{'0' * 32}")
    members = assert_problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert members["request_id"] in caplog.text
    assert "the secret of the house" in caplog.text


async def test_security_headers(served: RunningGateway) -> None:
    for path in ("/models", "/no/such/path", "/metrics"):
        headers = (await served.client.get(path)).headers
        policy = "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"
        assert headers["content-security-policy"] == policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


@pytest.mark.parametrize("root_path", ["", "/sr"])
async def test_docs_load_only_files_of_this_server(start: Start, root_path: str) -> None:
    async with start(root_path=root_path) as served:
        response = await served.client.get("/docs")
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        scripts = re.search(r"script-src ([^;]*)", policy)
        assert scripts is not None
        assert re.fullmatch(r"'self'( 'sha256-[^']+')+", scripts[1])
        assert "http" not in policy
        assert "//" not in response.text
        files = re.findall(r'(?:src|href)="([^"]*\.(?:js|css))"', response.text)
        assert len(files) == 2
        for file in files:
            assert file.startswith(f"{root_path}/docs/assets/")
            answer = await served.client.get(file.removeprefix(root_path))
            assert answer.status_code == 200, file
            assert len(answer.content) > 10_000


async def test_openapi_describes_everything(served: RunningGateway) -> None:
    described = (await served.client.get("/openapi.json")).json()
    paths = described["paths"]
    for path in ("/upscale", "/jobs"):
        post = paths[path]["post"]
        content = post["requestBody"]["content"]
        forms = {"multipart/form-data", "application/x-www-form-urlencoded"}
        assert set(content) == {*forms, "image/*", "application/octet-stream"}
        assert content["multipart/form-data"]["schema"] == {
            "$ref": "#/components/schemas/PictureForm"
        }
        given = {parameter["name"]: parameter["schema"] for parameter in post["parameters"]}
        kind = UpscaleRequest if path == "/upscale" else DeferredRequest
        assert tuple(given) == (*kind.model_fields, "Idempotency-Key", "image_url", "upload")
        kinds = [
            {"type": "string", "const": "auto"},
            {"type": "number", "minimum": 0, "maximum": 1},
        ]
        assert (given["strength"]["anyOf"], given["strength"]["default"]) == (kinds, "auto")
        assert given["format"]["enum"][:2] == ["auto", "png"]
        assert {"400", "403", "408", "413", "415", "422", "424"} <= set(post["responses"])
        assert {"429", "503"} <= set(post["responses"])
    assert described["components"]["schemas"]["PictureForm"]["required"] == ["image"]
    assert "X-AnySR-Budget-Ms" in paths["/jobs"]["post"]["responses"]["202"]["headers"]
    estimate = paths["/estimate"]["get"]
    required = {parameter["name"]: parameter["required"] for parameter in estimate["parameters"]}
    assert tuple(required) == tuple(EstimateRequest.model_fields)
    assert {name for name, needed in required.items() if needed} == {"width", "height", "format"}
    refused = {"401", "403", "409", "413", "421", "422", "429", "431", "500", "503"}
    assert {"200", *refused} == set(estimate["responses"])
    answer = paths["/upscale"]["post"]["responses"]
    assert "X-AnySR-Deadline" in answer["200"]["headers"]
    assert set(answer["200"]["content"]) >= {"image/png", "image/avif"}
    infeasible = answer["422"]["content"]["application/problem+json"]["examples"]
    assert infeasible["budget_infeasible"]["value"]["smallest_feasible_ms"] == 180
    assert {"/jobs/{job_id}", "/models", "/health/ready", "/metrics"} <= set(paths)


async def test_every_error_answer_is_described_as_the_one_problem(served: RunningGateway) -> None:
    described = (await served.client.get("/openapi.json")).json()
    operations = [found for path in described["paths"].values() for found in path.values()]
    for path, methods in described["paths"].items():
        form = problem_form = ("application/problem+json", "Problem")
        if path.startswith("/v2"):
            form = ("application/json", "InferenceError")
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    [(kind, content)] = answer["content"].items()
                    found = (kind, content["schema"]["$ref"].rpartition("/")[2])
                    # Refused by the connection, which reads no path.
                    assert found == (problem_form if status == "431" else form)
    problem = described["components"]["schemas"]["Problem"]
    refused = (await served.client.post("/upscale")).json()
    assert set(problem["required"]) == set(refused)
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    jsonschema.Draft202012Validator.check_schema(problem)
    text = json.dumps(described)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in described["components"]["schemas"]


async def test_cors_allows_only_the_configured_origins(start: Start) -> None:
    theirs = {"Origin": "https://a.example"}
    async with start() as served:
        headers = (await served.client.get("/models", headers=theirs)).headers
        assert "access-control-allow-origin" not in headers
    async with start(cors_origins=("https://a.example",)) as served:
        headers = (await served.client.get("/models", headers=theirs)).headers
        assert headers["access-control-allow-origin"] == "https://a.example"
        assert "X-AnySR-Reason" in headers["access-control-expose-headers"]
        other = {"Origin": "https://b.example"}
        headers = (await served.client.get("/models", headers=other)).headers
        assert "access-control-allow-origin" not in headers


async def test_links_have_the_proxys_prefix(start: Start, worker: ScriptedWorker) -> None:
    async with start(root_path="/sr") as served:
        response = await served.post_job()
        assert response.status_code == 202, response.text
        assert response.headers["location"] == f"/sr/jobs/{response.json()['id']}"
        described = (await served.client.get("/openapi.json")).json()
        assert described["servers"] == [{"url": "/sr"}]
    assert worker.go.is_set()


async def test_one_line_is_logged_per_request(
    served: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="anysr.requests"):
        response = await served.upscale()
        await served.upscale(b"text")
    good, bad = lines_of(caplog)
    assert good["request_id"] == response.headers["x-request-id"]
    assert (good["route"], good["method"], good["status"]) == ("/upscale", "POST", 200)
    assert (good["model"], good["width"], good["reason"]) == (MODEL, 1.0, "widest")
    assert good["deadline"] == "met"
    assert good["elapsed_ms"] > 0
    assert (good["budget_ms"], good["predicted_ms"], good["attempt"]) == (1_530, 102, 1)
    assert good["message"] == "POST /upscale 200"
    assert re.fullmatch("[0-9a-f]{32}", good["trace_id"])
    assert bad["trace_id"] != good["trace_id"]
    assert (bad["status"], bad["reason"]) == (415, "unsupported_image")


async def test_monitoring_requests_are_logged_at_debug(
    served: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="anysr.requests"):
        for path in ("/health/live", "/health/ready", "/metrics", "/models", "/health/none"):
            await served.client.get(path)
    levels = [(line["route"], line["level"]) for line in lines_of(caplog)]
    assert levels == [
        *(("/health/live", "DEBUG"), ("/health/ready", "DEBUG"), ("/metrics", "DEBUG")),
        *(("/models", "INFO"), ("unmatched", "INFO")),
    ]


async def test_requests_in_flight_are_finished_at_shutdown(
    start: Start, worker: ScriptedWorker
) -> None:
    worker.go.clear()
    async with start() as served:
        waiting = asyncio.create_task(served.upscale(drawn(), scale=2))
        async with asyncio.timeout(2):
            await worker.claimed.wait()
        served.gateway.closing.set()
        asyncio.get_running_loop().call_later(0.1, worker.go.set)
        assert (await waiting).status_code == 200
