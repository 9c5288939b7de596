"""Every panel has data: its queries run on a real Prometheus, after late pictures, refusals and a
lost worker of a real service. `pytest -s` shows the table."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator

import httpx
import pytest
from redis.asyncio import Redis

from benchmarks.monitored.processes import ProcessService, find_prometheus, run_processes
from deploy.grafana.build import FOLDER
from jobs.keys import Keys
from jobs.settings import QueueSettings
from tests.support.key_files import new_key
from tests.support.pictures import draw_jpeg
from tests.support.s3 import KEY, SECRET, s3_server

pytestmark = pytest.mark.skipif(find_prometheus() is None, reason="prometheus is not installed")

KEYS = Keys(QueueSettings().namespace)
WINDOW = "30s"
"""Value for Grafana's $__rate_interval."""
SMALL, LARGE = draw_jpeg(64, 64), draw_jpeg(420, 420)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessService]:
    folder = tmp_path_factory.mktemp("prometheus")
    key = new_key(folder / "keys.toml", "shop")
    settings = {
        "ANYSR_LEASE_SECONDS": "1.0",
        # The server claims for each of two paused workers that wait for a job.
        "ANYSR_MAX_ATTEMPTS": "3",
        "ANYSR_KEYS": str(folder / "keys.toml"),
        "ANYSR_SOURCES": "*",
        "ANYSR_WEBHOOK_SECRETS": "whsec_" + base64.b64encode(bytes(32)).decode(),
    }
    with s3_server(tmp_path_factory.mktemp("s3")) as store:
        store.make_bucket("pictures")
        settings |= {
            "ANYSR_BLOB_URL": "s3://pictures",
            "ANYSR_BLOB_ENDPOINT": store.endpoint,
            "ANYSR_BLOB_ACCESS_KEY_ID": KEY,
            "ANYSR_BLOB_SECRET_ACCESS_KEY": SECRET,
        }
        with run_processes(folder, settings, workers=2, every_s=0.5) as service:
            live_through_everything(service, key)
            yield service


def live_through_everything(service: ProcessService, key: dict[str, str]) -> None:
    """A service after pictures in time and late, refusals, an invalid upload, a lost worker, and a
    source and a webhook that lead nowhere."""
    with httpx.Client(base_url=service.url, timeout=60, headers=key) as client:
        make_pictures(client)
        miss_a_budget(service, client)
        lose_a_worker(service, client)
        make_pictures(client)
        reach_outside(client)
    service.until(lambda: bool(service.query("anysr_delivery_attempts_total > 0")))
    service.until(lambda: bool(service.query("anysr_redeliveries_total > 0")))


def ask(client: httpx.Client, picture: bytes = SMALL, **params: str | float) -> httpx.Response:
    headers = {"Content-Type": "image/jpeg"}
    return client.post("/upscale", params={"scale": 2, **params}, content=picture, headers=headers)


def make_pictures(client: httpx.Client) -> None:
    for width in (0.25, 1.0):
        assert ask(client, anysr_width=width).is_success
    for budget_ms in (60_000, 5_000):
        assert ask(client, latency_budget_ms=budget_ms).is_success
    assert ask(client, latency_budget_ms=1).status_code == 422
    assert ask(client, picture=b"no picture").status_code == 415


def reach_outside(client: httpx.Client) -> None:
    """Name hosts that do not exist."""
    nowhere = "https://nowhere.invalid/a"
    refused = client.post("/upscale", params={"scale": 2, "image_url": nowhere})
    assert refused.status_code == 424, refused.text
    params: dict[str, str | int] = {"scale": 2, "webhook_url": nowhere}
    assert client.post("/jobs", params=params, content=SMALL).status_code == 202


def miss_a_budget(service: ProcessService, client: httpx.Client) -> None:
    """Pause all workers while a job waits."""
    with service.paused_workers():
        job = client.post("/jobs", params={"scale": 2, "latency_budget_ms": 1500}, content=SMALL)
        assert job.status_code == 202, job.text
        time.sleep(2)  # longer than the budget
    ended = f"/jobs/{job.json()['id']}"
    service.until(lambda: client.get(ended).json()["status"] == "succeeded")


def lose_a_worker(service: ProcessService, client: httpx.Client) -> None:
    """Kill the worker of a long job; the other worker makes the picture."""
    service.wait_ready(2)
    params = {"scale": 4, "anysr_width": 1, "latency_budget_ms": 120_000}
    job = client.post("/jobs", params=params, content=LARGE).json()
    here = f"/jobs/{job['id']}"
    service.until(lambda: client.get(here).json()["status"] == "running")
    service.kill_worker(asyncio.run(slot_of(service, job["id"])))
    service.until(lambda: client.get(here).json()["status"] == "succeeded", 120)


async def slot_of(service: ProcessService, job_id: str) -> int:
    """Return the slot of the worker that runs a job."""
    async with Redis.from_url(service.redis_url, decode_responses=True) as redis:
        worker = str(await redis.hget(KEYS.record(job_id), "worker"))
    [slot] = [n for n, process in service.workers.items() if f"-{process.pid}-" in worker]
    return slot


def counted(service: ProcessService, expression: str) -> int:
    """Return the number of series with a value other than NaN."""
    asked = expression.replace("$__rate_interval", WINDOW)
    return sum(one["value"][1] not in ("NaN", "+Inf", "-Inf") for one in service.query(asked))


def test_no_panel_is_empty(service: ProcessService) -> None:
    service.until(lambda: bool(service.query("anysr:budget_misses:ratio_rate5m > 0")))
    empty = []
    print(f"\n{'dashboard':16} {'panel':32} series  query")
    for path in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                series = counted(service, target["expr"])
                print(f"{path.stem:16} {panel['title']:32} {series:6}  {target['expr']}")
                if not series:
                    empty.append((path.stem, panel["title"], target["expr"]))
    assert not empty


def test_prometheus_keeps_traces_beside_latencies(service: ProcessService) -> None:
    for name in ("anysr_job_duration_seconds_bucket", "anysr_job_stage_seconds_bucket"):
        asked = {"query": name, "start": str(time.time() - 600), "end": str(time.time())}
        url = f"{service.prometheus_url}/api/v1/query_exemplars"
        found = httpx.get(url, params=asked).json()["data"]
        traces = {one["labels"]["trace_id"] for series in found for one in series["exemplars"]}
        assert traces, name
        assert all(len(trace) == 32 for trace in traces)


def test_every_rule_can_be_evaluated(service: ProcessService) -> None:
    groups = httpx.get(f"{service.prometheus_url}/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 30
    assert {rule["health"] for rule in rules} == {"ok"}, [r for r in rules if r["health"] != "ok"]


def test_what_is_lost_is_counted_once(service: ProcessService) -> None:
    [redelivered] = service.query("anysr_redeliveries_total")
    [starts] = service.query("anysr_worker_starts_total")
    assert (int(redelivered["value"][1]), int(starts["value"][1])) == (1, 2)
