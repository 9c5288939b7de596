"""The running stack: a picture through it, its metrics, more workers, and a stop in time."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import httpx

from tests.containers.stack import STATE_URL, Stack, eventually, inspect, photograph, size_of


def targets(stack: Stack) -> list[tuple[str, str]]:
    """Return job and health of each target of Prometheus."""
    page = json.loads(stack.fetch_inside("http://prometheus:9090/api/v1/targets?state=active"))
    return sorted((t["labels"]["job"], t["health"]) for t in page["data"]["activeTargets"])


def test_the_stack_upscales_a_photograph_as_soon_as_it_is_up(stack, say):
    answer = stack.upscale(photograph(256, 192), scale=2.37, latency_budget_ms=20000)
    assert answer.status_code == 200, answer.text
    assert size_of(answer.content) == (round(2.37 * 256), round(2.37 * 192))
    assert answer.headers["x-anysr-deadline"] == "met"
    assert float(answer.headers["x-anysr-width"]) > 0
    say(
        f"POST /upscale: {answer.headers['x-anysr-elapsed-ms']} ms, "
        f"{answer.headers['x-anysr-model']} at width {answer.headers['x-anysr-width']}"
    )


def test_gateway_and_worker_each_have_metrics(stack):
    gateway = stack.fetch_inside(f"{STATE_URL}/metrics")
    assert "anysr_http_requests_total{" in gateway
    assert "anysr_queue_backlog_seconds 0.0" in gateway
    worker = stack.fetch_inside("http://worker:9100/metrics")
    assert "anysr_worker_ready 1.0" in worker
    assert 'anysr_runs_total{outcome="succeeded"' in worker


def test_the_published_port_has_no_metrics(stack):
    assert httpx.get(f"{stack.url}/metrics").status_code == 404
    assert httpx.get(f"{stack.url}/health/ready").json() == {"status": "ready"}


def test_prometheus_sees_gateway_and_worker(stack):
    wanted = [("gateway", "up"), ("worker", "up")]
    eventually(lambda: set(wanted) <= set(targets(stack)), "both targets up")


def test_three_workers_share_the_queue_and_are_all_scraped(stack):
    more = replace(stack, variables=stack.variables | {"ANYSR_WORKERS": "3"})
    more.up("--no-recreate")
    more.up("--no-recreate", "gateway")  # another command keeps them
    try:
        eventually(lambda: stack.warm_workers() == 3, "three warm workers")
        eventually(lambda: targets(stack).count(("worker", "up")) == 3, "three workers scraped")
        jobs = [stack.submit(photograph(300, 300), scale=2) for _ in range(9)]
        assert {stack.ended(job)["status"] for job in jobs} == {"succeeded"}
        made = [
            worker
            for worker in stack.containers("worker")
            if 'anysr_runs_total{outcome="succeeded"' in metrics_of(stack, worker)
        ]
        assert len(made) >= 2
    finally:
        stack.up("--no-recreate")


def metrics_of(stack: Stack, worker: str) -> str:
    (network,) = inspect(worker)["NetworkSettings"]["Networks"].values()
    return stack.fetch_inside(f"http://{network['IPAddress']}:9100/metrics")


def test_all_containers_stop_within_ten_seconds(stack, say):
    containers = {s: stack.containers(s)[0] for s in ("gateway", "worker", "redis", "prometheus")}
    started = time.monotonic()
    stack.compose("stop")
    seconds = time.monotonic() - started
    codes = {name: inspect(id_)["State"]["ExitCode"] for name, id_ in containers.items()}
    say(f"docker compose stop: {seconds:.1f} s, exit codes {codes}")
    stack.up("--no-recreate")
    assert seconds < 10
    assert codes == {"gateway": 0, "worker": 0, "redis": 0, "prometheus": 0}
