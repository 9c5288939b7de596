"""Parts of the stack die, restart and are replaced; accepted jobs still finish."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import httpx

from benchmarks.compose import docker
from tests.containers.stack import Stack, eventually, photograph, size_of

RETRY_S = 30.0


def busy_container(stack: Stack) -> str | None:
    """Return the container of the worker that runs a job, by the beginning of the worker's id."""
    for worker in stack.ready().get("workers", ()):
        if worker["busy"]:
            return str(worker["id"]).partition("-")[0]
    return None


def test_a_job_survives_the_kill_of_its_worker(stack, say):
    stack.up("--no-recreate", "--scale", "worker=2")
    eventually(lambda: stack.warm_workers() == 2, "two warm workers")
    job = stack.submit(
        photograph(700, 700), scale=2, model="anysr-m", anysr_width=1, latency_budget_ms=120000
    )
    victim = eventually(lambda: busy_container(stack), "a busy worker")
    docker("kill", "--signal", "KILL", victim)
    assert stack.job(job)["status"] in ("queued", "running")
    killed = time.monotonic()
    assert stack.ended(job)["status"] == "succeeded"
    say(f"picture {time.monotonic() - killed:.1f} s after its worker was killed")
    assert size_of(stack.result(job)) == (1400, 1400)
    stack.up("--no-recreate", "--scale", "worker=1")
    eventually(lambda: stack.warm_workers() == 1, "the one that is left is seen")


def test_accepted_jobs_survive_a_restart_of_redis(stack, say):
    jobs = [stack.submit(photograph(400, 400), scale=2) for _ in range(8)]
    stack.compose("stop", "redis")
    stack.compose("start", "redis")
    ended = [stack.ended(job) for job in jobs]
    say(f"8 jobs, Redis stopped and started: {[job['status'] for job in ended]}")
    assert {job["status"] for job in ended} == {"succeeded"}
    assert {size_of(stack.result(job)) for job in jobs} == {(800, 800)}
    eventually(lambda: stack.warm_workers() == 1, "the worker is seen again")


@dataclass
class Load:
    """Callers in sequence, who repeat a request only when their connection breaks."""

    stack: Stack
    stop: threading.Event = field(default_factory=threading.Event)
    statuses: list[int] = field(default_factory=list)
    broken: int = 0

    def call(self) -> None:
        picture = photograph(48, 48)
        while not self.stop.is_set():
            self.statuses.append(self.one(picture))

    def one(self, picture: bytes) -> int:
        until = time.monotonic() + RETRY_S
        while True:
            try:
                return self.stack.upscale(picture, scale=2).status_code
            except httpx.TransportError:
                self.broken += 1
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)


def test_no_request_fails_while_the_gateway_is_replaced(stack, say):
    load = Load(stack)
    callers = [threading.Thread(target=load.call) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        eventually(lambda: len(load.statuses) > 10, "load")
        before = stack.containers("gateway")
        for _ in range(2):
            stack.up("--no-deps", "--force-recreate", "gateway")
        seen = len(load.statuses)
        eventually(lambda: len(load.statuses) > seen + 10, "load on the new gateway")
    finally:
        load.stop.set()
        for caller in callers:
            caller.join()
    say(f"gateway replaced twice: {len(load.statuses)} requests, {load.broken} broken connections")
    assert stack.containers("gateway") != before
    assert set(load.statuses) == {200}
