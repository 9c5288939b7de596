"""Settings come from the environment, and each has a description."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import GatewaySettings


def test_every_setting_is_described() -> None:
    for name, field in GatewaySettings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_PORT", "9001")
    monkeypatch.setenv("ANYSR_MODELS", "some/folder")
    monkeypatch.setenv("ANYSR_CORS_ORIGINS", '["https://a.example"]')
    settings = GatewaySettings()
    assert (settings.port, settings.models_folder) == (9001, Path("some/folder"))
    assert settings.cors_origins == ("https://a.example",)


def test_a_snapshot_is_stale_after_five_periods_by_default() -> None:
    assert GatewaySettings(snapshot_seconds=2.0).stale_s == 10.0
    assert GatewaySettings(snapshot_seconds=2.0, snapshot_stale_seconds=3.0).stale_s == 3.0
    with pytest.raises(ValidationError, match="must be more than"):
        GatewaySettings(snapshot_seconds=2.0, snapshot_stale_seconds=2.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("MAX_BODY_BYTES", "0"), ("DEFAULT_BUDGET_MS", "-1"), ("LOG_LEVEL", "x")],
)
def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ANYSR_{name}", value)
    with pytest.raises(ValidationError):
        GatewaySettings()
