"""The benchmark of the alerts has a scene for each, and detects whether one fires."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks import alerts
from benchmarks.alert_scenes import SCENES, Scene
from benchmarks.monitored.processes import find_prometheus, run_processes
from tests.deploy.test_rules import alerts as deployed


def test_each_alert_has_a_scene() -> None:
    assert set(SCENES) == set(deployed())


@pytest.mark.skipif(find_prometheus() is None, reason="prometheus is not installed")
def test_only_the_alert_of_the_created_condition_fires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "FIRING_TIMEOUT_S", 60.0)
    name = "AnysrRedisMemoryHigh"
    with run_processes(tmp_path, SCENES[name].settings, every_s=0.25, hurry=60) as service:
        found = alerts.watch(service, name, SCENES[name])
        assert found.after_s is not None
        assert service.firing() == {name}
        monkeypatch.setattr(alerts, "FIRING_TIMEOUT_S", 1.0)
        acted = threading.Event()
        repeating = Scene(lambda service: acted.set(), repeated=True)
        assert alerts.watch(service, "AnysrDeadLetters", repeating).after_s is None
        assert acted.is_set()
