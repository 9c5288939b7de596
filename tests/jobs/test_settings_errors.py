"""Wrong settings: each is one sentence that names its variable, its bound and its value."""

from __future__ import annotations

import pytest
from pydantic_settings import BaseSettings

from jobs.settings import QueueSettings
from jobs.settings_errors import SettingsError, settings_of, variable_of
from service.settings import GatewaySettings
from workers.settings import WorkerSettings


def fault(kind: type[BaseSettings]) -> str:
    with pytest.raises(SettingsError) as raised:
        settings_of(kind)
    # Neither a cause nor a context whose text holds the value of a secret.
    assert raised.value.__cause__ is None
    return str(raised.value)


@pytest.mark.parametrize(
    ("kind", "variable", "value", "sentence"),
    [
        (
            WorkerSettings,
            "TILE_PIXELS",
            "2500",
            "ANYSR_TILE_PIXELS must be greater than or equal to 4096, but is '2500'.",
        ),
        (
            WorkerSettings,
            "TILE_PIXELS",
            "many",
            "ANYSR_TILE_PIXELS must be a valid integer, but is 'many'.",
        ),
        (
            WorkerSettings,
            "PRECISION",
            "fp8",
            "ANYSR_PRECISION must be 'auto', 'float32', 'bfloat16' or 'int8', but is 'fp8'.",
        ),
        (WorkerSettings, "WARM", "a", 'ANYSR_WARM must be a JSON list, such as ["a", "b"].'),
        (
            GatewaySettings,
            "PORT",
            "70000",
            "ANYSR_PORT must be less than or equal to 65535, but is '70000'.",
        ),
        (
            GatewaySettings,
            "SNAPSHOT_STALE_SECONDS",
            "0.5",
            "ANYSR_SNAPSHOT_STALE_SECONDS must be more than ANYSR_SNAPSHOT_SECONDS.",
        ),
        (
            QueueSettings,
            "EMBEDDED_REDIS_MB",
            "1",
            "ANYSR_EMBEDDED_REDIS_MB must be greater than or equal to 64, but is '1'.",
        ),
    ],
)
def test_the_sentence_names_variable_bound_and_value(
    kind: type[BaseSettings],
    variable: str,
    value: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"ANYSR_{variable}", value)
    assert fault(kind) == sentence


def test_each_wrong_setting_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_TILE_PIXELS", "1")
    monkeypatch.setenv("ANYSR_NICE", "99" * 400)
    lines = fault(WorkerSettings).splitlines()
    assert sorted(line.partition(" ")[0] for line in lines) == ["ANYSR_NICE", "ANYSR_TILE_PIXELS"]
    assert all(len(line) < 200 for line in lines)


@pytest.mark.parametrize(
    ("kind", "variable", "secret"),
    [
        (GatewaySettings, "ANYSR_ADMIN_KEY", "swordfish"),
        (QueueSettings, "ANYSR_REDIS_URL", "http://:swordfish@host"),
        (QueueSettings, "ANYSR_BLOB_URL", "swordfish"),
    ],
)
def test_no_sentence_repeats_a_secret(
    kind: type[BaseSettings], variable: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, secret)
    assert variable in fault(kind)
    assert "swordfish" not in fault(kind)


@pytest.mark.parametrize("kind", [GatewaySettings, QueueSettings, WorkerSettings])
def test_right_settings_are_read(kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_MODELS", "/models")
    assert settings_of(kind) == kind()


def test_variables_have_the_names_of_the_documents() -> None:
    assert variable_of(WorkerSettings, "models_folder") == "ANYSR_MODELS"
    assert variable_of(GatewaySettings, "log_level") == "ANYSR_LOG_LEVEL"
