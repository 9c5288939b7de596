"""A monitored service as the containers of docker-compose.yml, with their own Prometheus.

Images and files are the shipped ones; one more file has the settings of a benchmark.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.compose import ComposeProject, build_images, docker, require_engine
from benchmarks.monitored.configuration import read_config, write_config
from benchmarks.monitored.service import Monitored, Start
from benchmarks.ports import free_ports

METRICS_PORT = 9101
"""Port of the gateway's health and metrics in its container."""
CONFIG = "/etc/prometheus"
"""Folder of the configuration in Prometheus's container."""

KILL_DECODER = """
import os, pathlib, signal
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if b"images.sandbox.child" in (process / "cmdline").read_bytes():
        os.kill(int(process.name), signal.SIGSEGV)
"""
"""Run inside a worker's container, which has no ps."""


@dataclass
class StackService(Monitored):
    """The containers of a Compose project."""

    project: ComposeProject

    def kill_gateway(self) -> None:
        docker("kill", self._container("gateway", 0))

    def kill_worker(self, slot: int) -> None:
        docker("kill", self._container("worker", slot))

    def start_worker(self, slot: int) -> None:
        docker("start", self._container("worker", slot))

    def kill_decoder(self, slot: int) -> None:
        docker("exec", self._container("worker", slot), "python", "-c", KILL_DECODER)

    @contextlib.contextmanager
    def paused_workers(self) -> Iterator[None]:
        workers = self.project.containers("worker")
        docker("pause", *workers)
        try:
            yield
        finally:
            docker("unpause", *workers)

    def limit_redis(self, maxmemory: int) -> None:
        self.project.inside("redis", "redis-cli", "config", "set", "maxmemory", str(maxmemory))

    def _container(self, service: str, slot: int) -> str:
        return f"{self.project.project}-{service}-{slot + 1}"


def build_stack() -> Start:
    """Build the images from this tree, and return a function that starts a stack of them.

    Raises EngineMissing and CommandFailed.
    """
    require_engine()
    return partial(run_stack, images=build_images("bench"))


@contextlib.contextmanager
def run_stack(
    folder: Path,
    settings: Mapping[str, str],
    *,
    every_s: float | None = None,
    hurry: float = 1.0,
    images: Mapping[str, str],
) -> Iterator[StackService]:
    """Run the stack as described in `service.Start`, from the images of these variables.

    Raises CommandFailed and TimeoutError.
    """
    gateway, state, prometheus = free_ports(3)
    as_deployed = every_s is None and hurry == 1
    if not as_deployed:
        write_config(folder, read_config(every_s), hurry)
    own = folder / "own.compose.yml"
    ports = OwnPorts(state, prometheus)
    own.write_text(yaml.safe_dump(overrides(settings, ports, None if as_deployed else folder)))
    variables = {
        **images,
        "ANYSR_HOST": "127.0.0.1",
        "ANYSR_PORT": str(gateway),
        "ANYSR_REDIS_URL": "",  # the stack's own Redis, because the benchmark disturbs it
    }
    project = ComposeProject(f"anysr-bench-{gateway}", variables, ("docker-compose.yml", str(own)))
    try:
        project.up()
        service = StackService(project.url, *ports.urls, project)
        service.wait_ready(1)
        yield service
    finally:
        project.down()


class OwnPorts(NamedTuple):
    """Ports of this machine for what the stack publishes nowhere."""

    state: int
    """Of the gateway's health and metrics."""
    prometheus: int

    @property
    def urls(self) -> tuple[str, str]:
        return f"http://127.0.0.1:{self.state}", f"http://127.0.0.1:{self.prometheus}"


def overrides(settings: Mapping[str, str], ports: OwnPorts, folder: Path | None) -> dict[str, Any]:
    """Return a Compose file: settings, ports, and Prometheus's configuration from a folder.

    None: the configuration stays the shipped one.
    """
    prometheus: dict[str, Any] = {"ports": [f"127.0.0.1:{ports.prometheus}:9090"]}
    if folder is not None:
        names = ("prometheus.yml", "rules")
        prometheus["volumes"] = [f"{folder / name}:{CONFIG}/{name}:ro" for name in names]
    service = {"environment": dict(settings)}
    gateway = service | {
        "ports": [f"127.0.0.1:{ports.state}:{METRICS_PORT}"],
        # `wait_ready` waits for its worker; a store that a scene closes would never be ready.
        "healthcheck": {"test": ["CMD", "python", "-P", "-m", "cli.health", "live"]},
    }
    return {"services": {"gateway": gateway, "worker": service, "prometheus": prometheus}}
