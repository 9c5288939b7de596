"""A monitored service as plain processes, for machines without a container engine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis

from benchmarks.monitored.configuration import read_config, write_config
from benchmarks.monitored.service import Monitored
from benchmarks.ports import free_ports
from jobs.embedded_redis import embedded_redis

STOP_TIMEOUT_S = 20.0

Process = subprocess.Popen[bytes]


class PrometheusMissing(RuntimeError):
    """No `prometheus` is on PATH; on Debian the package has this name."""


def find_prometheus() -> str | None:
    """Return the path of the program, or None."""
    return shutil.which("prometheus")


@dataclass
class ProcessService(Monitored):
    """Processes of a service. Each slot of a worker has an address for Prometheus."""

    redis_url: str
    environment: Mapping[str, str]
    worker_ports: tuple[int, ...]
    gateway: Process | None = None
    workers: dict[int, Process] = field(default_factory=dict)

    def start_gateway(self) -> None:
        """Start the gateway, and wait until it answers."""
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-P", "-m", "cli.main", "gateway", "--port", port]
        self.gateway = _spawn(command, self.environment)
        self.until(lambda: httpx.get(f"{self.url}/health/live").is_success)

    def kill_gateway(self) -> None:
        if self.gateway is not None:
            self.gateway.kill()

    def start_worker(self, slot: int) -> None:
        place = {"ANYSR_WORKER_METRICS_PORT": str(self.worker_ports[slot])}
        command = [sys.executable, "-P", "-m", "workers.main"]
        self.workers[slot] = _spawn(command, {**self.environment, **place})

    def kill_worker(self, slot: int) -> None:
        process = self.workers.pop(slot)
        process.kill()
        process.wait()

    def kill_decoder(self, slot: int) -> None:
        worker = self.workers[slot].pid
        children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
        for child in map(int, children):
            os.kill(child, signal.SIGSEGV)

    @contextlib.contextmanager
    def paused_workers(self) -> Iterator[None]:
        for worker in self.workers.values():
            worker.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in self.workers.values():
                worker.send_signal(signal.SIGCONT)

    def limit_redis(self, maxmemory: int) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.config_set("maxmemory", maxmemory)

    def stop(self) -> None:
        """End all remaining processes."""
        for process in (self.gateway, *self.workers.values()):
            if process is not None:
                _end(process)


@contextlib.contextmanager
def run_processes(
    folder: Path,
    settings: Mapping[str, str],
    *,
    every_s: float | None = None,
    hurry: float = 1.0,
    workers: int = 1,
) -> Iterator[ProcessService]:
    """Run a service and its Prometheus, as described in `service.Start`.

    Raises PrometheusMissing and TimeoutError.
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
            **settings,
        }
        base = "http://127.0.0.1"
        url = f"{base}:{ports[0]}"
        service = ProcessService(
            *(url, url, f"{base}:{ports[1]}"), redis_url, own, tuple(ports[2:])
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


def _configure(
    folder: Path, gateway: int, workers: list[int], every_s: float | None, hurry: float
) -> Path:
    """Write the deployed configuration with these addresses, and return its path."""
    config = read_config(every_s)
    config["rule_files"] = [str(folder / "rules" / "*.yml")]
    del config["alerting"]  # no Alertmanager runs, and its name has no address here
    ports = {"gateway": [gateway], "worker": workers}
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        targets = [f"127.0.0.1:{port}" for port in ports[job["job_name"]]]
        job["static_configs"] = [{"targets": targets}]
    return write_config(folder, config, hurry)


def _spawn(command: list[str], environment: Mapping[str, str]) -> Process:
    return subprocess.Popen(command, env=dict(environment), stdin=subprocess.DEVNULL)


def _end(process: Process) -> None:
    process.send_signal(signal.SIGCONT)  # a stopped process receives no other signal
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
