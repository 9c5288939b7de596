"""The proof of the alerts knows all of them, and can tell one that fires from one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import alerts
from benchmarks.monitored import Monitored, find_prometheus, monitored, seconds_of
from tests.deploy.test_rules import alerts as deployed


def test_each_alert_has_a_scene_that_makes_it_real() -> None:
    assert set(alerts.SCENES) == set(deployed())
    assert set(alerts.SPECIAL) <= set(alerts.SCENES)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400)]
)
def test_durations_of_prometheus(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.skipif(find_prometheus() is None, reason="prometheus is not installed")
def test_an_alert_fires_when_it_is_made_real_and_only_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "FIRING_TIMEOUT_S", 60.0)
    with monitored(tmp_path, alerts.SETTINGS, every_s=0.25, hurry=60) as service:
        name = "AnysrRedisMemoryHigh"
        found = alerts._watch(service, name, alerts.SCENES[name])
        assert found.after_s is not None
        assert service.firing() == {name}
        monkeypatch.setattr(alerts, "FIRING_TIMEOUT_S", 1.0)
        nothing = alerts._watch(service, "AnysrDeadLetters", _nothing)
        assert nothing.after_s is None


def _nothing(service: Monitored) -> None:
    assert service.gateway is not None
