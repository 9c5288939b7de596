"""A whole service as processes under a real Prometheus, with the rules that are deployed.

What the alerts and dashboards are proved with: every part can be stopped, killed and started.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from jobs.embedded_redis import embedded_redis

DEPLOYED = Path(__file__).parents[1] / "deploy" / "prometheus"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Process = subprocess.Popen[bytes]


class PrometheusMissing(RuntimeError):
    """There is no `prometheus` on PATH; Debian has it in the package of this name."""


def find_prometheus() -> str | None:
    """Return the path of the program, or None."""
    return shutil.which("prometheus")


@dataclass
class Monitored:
    """The running parts. Workers have slots, each with an address for Prometheus."""

    url: str
    prometheus_url: str
    redis_url: str
    environment: Mapping[str, str]
    worker_ports: tuple[int, ...]
    gateway: Process | None = None
    workers: dict[int, Process] = field(default_factory=dict)

    def start_gateway(self) -> None:
        """Start the gateway, and wait until it answers."""
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "cli.main", "gateway", "--port", port]
        self.gateway = _spawn(command, self.environment)
        self.until(lambda: httpx.get(f"{self.url}/health/live").is_success)

    def start_worker(self, slot: int) -> Process:
        """Start the worker of a slot; it is warm some seconds later."""
        place = {"ANYSR_WORKER_METRICS_PORT": str(self.worker_ports[slot])}
        command = [sys.executable, "-m", "workers.main"]
        self.workers[slot] = _spawn(command, {**self.environment, **place})
        return self.workers[slot]

    def kill_worker(self, slot: int) -> None:
        """End a worker as a crash would."""
        process = self.workers.pop(slot)
        process.kill()
        process.wait()

    def wait_ready(self, workers: int) -> None:
        """Wait until so many workers are warm, and no more are seen."""

        def seen() -> bool:
            health = httpx.get(f"{self.url}/health/ready").json()
            ready = [worker["ready"] for worker in health["workers"]]
            return len(ready) == workers and all(ready)

        self.until(seen)

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the series of a PromQL expression, now or at a moment of time.time().

        Raises httpx.HTTPStatusError for an expression that Prometheus refuses.
        """
        asked = {"query": expression} | ({} if at is None else {"time": str(at)})
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params=asked, timeout=30)
        answer.raise_for_status()
        series: list[dict[str, Any]] = answer.json()["data"]["result"]
        return series

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def until(self, look: Callable[[], bool], within_s: float = START_TIMEOUT_S) -> None:
        """Wait for something that other processes bring about. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if look():
                    return
            time.sleep(0.1)
        raise TimeoutError(f"not within {within_s:g} s")

    def stop(self) -> None:
        """End every process that is left."""
        for process in (self.gateway, *self.workers.values()):
            if process is not None:
                _end(process)


@contextlib.contextmanager
def monitored(
    folder: Path,
    environment: Mapping[str, str],
    workers: int = 1,
    every_s: float = 1.0,
    hurry: float = 1.0,
) -> Iterator[Monitored]:
    """Run a service and its Prometheus, which keeps its data in a folder; ready when it yields.

    `environment` is beside that of this process. Metrics are read and rules evaluated each
    `every_s` seconds; `hurry` divides the time for which a condition must hold before its alert
    fires. Raises PrometheusMissing and TimeoutError.
    """
    program = find_prometheus()
    if program is None:
        raise PrometheusMissing("prometheus is not on PATH (Debian: apt-get install prometheus)")
    ports = free_ports(2 + workers)
    with contextlib.ExitStack() as stack:
        redis_url = stack.enter_context(embedded_redis())
        own = {
            **os.environ,
            "ANYSR_REDIS_URL": redis_url,
            "ANYSR_LOG_LEVEL": "error",
            "ANYSR_WORKER_METRICS_HOST": "127.0.0.1",
            "ANYSR_WORKER_THREADS": "1",
            "ANYSR_EXIT_WITH_PARENT": "true",
            **environment,
        }
        base = "http://127.0.0.1"
        service = Monitored(
            f"{base}:{ports[0]}", f"{base}:{ports[1]}", redis_url, own, tuple(ports[2:])
        )
        stack.callback(service.stop)
        config = _configure(folder, ports[0], ports[2:], every_s, hurry)
        command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{ports[1]}", "--log.level=error"]
        command += ["--enable-feature=exemplar-storage"]
        stack.callback(_end, _spawn(command, os.environ))
        service.start_gateway()
        for slot in range(workers):
            service.start_worker(slot)
        service.wait_ready(workers)
        service.until(lambda: httpx.get(f"{service.prometheus_url}/-/ready").is_success)
        yield service


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        takers = [stack.enter_context(socket.socket()) for _ in range(count)]
        for taker in takers:
            taker.bind(("127.0.0.1", 0))
        return [int(taker.getsockname()[1]) for taker in takers]


def _configure(
    folder: Path, gateway: int, workers: list[int], every_s: float, hurry: float
) -> Path:
    """Write the deployed configuration, with these addresses and times, and return its path."""
    config = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
    every = f"{round(every_s * 1e3)}ms"
    config["global"] = {"scrape_interval": every, "evaluation_interval": every}
    config["rule_files"] = [str(folder / "rules" / "*.yml")]
    ports = {"gateway": [gateway], "worker": workers}
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        targets = [f"127.0.0.1:{port}" for port in ports[job["job_name"]]]
        job["static_configs"] = [{"targets": targets}]
    (folder / "rules").mkdir()
    for path in (DEPLOYED / "rules").glob("*.yml"):
        rules = yaml.safe_load(path.read_text())
        (folder / "rules" / path.name).write_text(yaml.safe_dump(_hurried(rules, hurry)))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


def _hurried(rules: dict[str, Any], hurry: float) -> dict[str, Any]:
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = f"{round(seconds_of(rule['for']) / hurry)}s"
    return rules


def seconds_of(duration: str) -> float:
    """Return the seconds of one of Prometheus's durations, as 90s or 5m."""
    amount, unit = re.fullmatch(r"(\d+)([smhd])", duration).groups()  # type: ignore[union-attr]
    return float(amount) * SECONDS[unit]


def _spawn(command: list[str], environment: Mapping[str, str]) -> Process:
    return subprocess.Popen(command, env=dict(environment), stdin=subprocess.DEVNULL)


def _end(process: Process) -> None:
    process.send_signal(signal.SIGCONT)  # one that was stopped hears nothing else
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
