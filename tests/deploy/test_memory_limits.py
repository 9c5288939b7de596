"""The memory of every container is what docs/reliability.md adds up from the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from images.limits import Limits
from service.connection_bounds import ConnectionBounds
from service.settings import GatewaySettings
from tests.deploy.compose_files import DEPLOY, read
from workers.memory import worker_bytes
from workers.settings import WorkerSettings

KIBIBYTE, MEBIBYTE, GIBIBYTE = 1 << 10, 1 << 20, 1 << 30
UNITS = dict.fromkeys(("m", "mi", "mb"), MEBIBYTE) | dict.fromkeys(("g", "gi", "gb"), GIBIBYTE)
LOOSEST = 1.15
"""A limit, as a multiple of the sum."""


def in_bytes(size: str) -> int:
    """Return a size as Compose, Kubernetes and Redis write it (all three in powers of 1024)."""
    match = re.fullmatch(r"(\d+)(\w+)", size)
    assert match is not None, size
    return int(match[1]) * UNITS[match[2].lower()]


def compose_limit(path: Path, service: str) -> int:
    limits = read(path)["services"][service]["deploy"]["resources"]["limits"]
    return in_bytes(limits["memory"])


def kubernetes_limit(service: str) -> int:
    text = (DEPLOY / "kubernetes" / f"{service}.yaml").read_text()
    kinds: dict[str, Any] = {found["kind"]: found for found in yaml.safe_load_all(text)}
    pods = kinds.get("Deployment") or kinds["StatefulSet"]
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    return in_bytes(container["resources"]["limits"]["memory"])


def limits_of(service: str) -> dict[str, int]:
    return {
        "Compose": compose_limit(DEPLOY.parent / "docker-compose.yml", service),
        "Swarm": compose_limit(DEPLOY / "stack.yml", service),
        "Kubernetes": kubernetes_limit(service),
    }


def gateway_bytes(settings: GatewaySettings, connections: int) -> int:
    uploads = settings.max_uploads * settings.max_body_bytes * 9 // 8
    buffers = connections * (32 + 320 + 512) * KIBIBYTE
    return 90 * MEBIBYTE + uploads + settings.max_result_bytes_in_flight * 9 // 8 + buffers


def redis_bytes(configuration: Path) -> int:
    (maxmemory,) = re.findall(r"^maxmemory (\S+)$", configuration.read_text(), re.MULTILINE)
    return 2 * in_bytes(maxmemory) + 512 * MEBIBYTE


SUMS = {
    "worker": worker_bytes(WorkerSettings().limits),
    "gateway": gateway_bytes(GatewaySettings(), ConnectionBounds().connections),
    "redis": redis_bytes(DEPLOY / "redis.conf"),
}


@pytest.mark.parametrize("service", SUMS)
def test_the_limits_of_containers_are_the_sums_of_the_settings(service: str) -> None:
    for where, limit in limits_of(service).items():
        assert SUMS[service] <= limit <= LOOSEST * SUMS[service], where


def test_kubernetes_has_the_same_redis() -> None:
    assert redis_bytes(DEPLOY / "kubernetes" / "redis.conf") == SUMS["redis"]


def test_gateways_and_workers_have_the_same_limits() -> None:
    assert GatewaySettings().limits == WorkerSettings().limits == Limits(25 * 10**6, 10**8)
