"""The additional Compose file has only the settings of a benchmark."""

from __future__ import annotations

from pathlib import Path

from benchmarks.monitored.stack import overrides


def test_as_deployed_only_a_port_is_added() -> None:
    assert overrides({}, 9999, None) == {
        "services": {
            "gateway": {"environment": {}},
            "worker": {"environment": {}},
            "prometheus": {"ports": ["127.0.0.1:9999:9090"]},
        }
    }


def test_gateway_and_worker_get_the_settings_and_rules_come_from_a_folder() -> None:
    services = overrides({"ANYSR_LEASE_SECONDS": "1"}, 9999, Path("/trial"))["services"]
    for name in ("gateway", "worker"):
        assert services[name] == {"environment": {"ANYSR_LEASE_SECONDS": "1"}}
    assert services["prometheus"]["volumes"] == [
        "/trial/prometheus.yml:/etc/prometheus/prometheus.yml:ro",
        "/trial/rules:/etc/prometheus/rules:ro",
    ]
