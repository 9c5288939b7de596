"""The additional Compose file has only the settings of a benchmark."""

from __future__ import annotations

from pathlib import Path

from benchmarks.monitored.stack import METRICS_PORT, OwnPorts, overrides
from tests.deploy.compose_files import DEPLOY, read

PORTS = OwnPorts(9998, 9999)
PUBLISHED = {
    "ports": ["127.0.0.1:9998:9101"],
    "healthcheck": {"test": ["CMD", "python", "-P", "-m", "cli.health", "live"]},
}


def test_as_deployed_ports_are_added_and_readiness_is_waited_for_elsewhere() -> None:
    assert overrides({}, PORTS, None) == {
        "services": {
            "gateway": {"environment": {}, **PUBLISHED},
            "worker": {"environment": {}},
            "prometheus": {"ports": ["127.0.0.1:9999:9090"]},
        }
    }


def test_gateway_and_worker_get_the_settings_and_rules_come_from_a_folder() -> None:
    services = overrides({"ANYSR_LEASE_SECONDS": "1"}, PORTS, Path("/trial"))["services"]
    settings = {"environment": {"ANYSR_LEASE_SECONDS": "1"}}
    assert services["gateway"] == settings | PUBLISHED
    assert services["worker"] == settings
    assert services["prometheus"]["volumes"] == [
        "/trial/prometheus.yml:/etc/prometheus/prometheus.yml:ro",
        "/trial/rules:/etc/prometheus/rules:ro",
    ]


def test_the_published_port_is_that_of_the_stack() -> None:
    gateway = read(DEPLOY.parent / "docker-compose.yml")["services"]["gateway"]
    assert gateway["environment"]["ANYSR_METRICS_PORT"] == str(METRICS_PORT)
