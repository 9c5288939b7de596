"""The queue's settings come from the environment, are checked, and are all explained."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from jobs.settings import QueueSettings, secrets_folder, urls_in


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_REDIS_URL", "redis://queue:6379/2")
    monkeypatch.setenv("ANYSR_LEASE_SECONDS", "2.5")
    settings = QueueSettings()
    assert settings.redis_url == "redis://queue:6379/2"
    assert settings.lease_seconds == 2.5
    assert settings.queue_limit == 256


def test_an_empty_url_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_REDIS_URL", "")
    assert QueueSettings().redis_url is None


def test_a_foreign_url_is_refused_without_showing_its_password() -> None:
    with pytest.raises(ValidationError, match="redis://") as caught:
        QueueSettings(redis_url="http://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_the_repr_keeps_passwords() -> None:
    assert "hunter2" not in repr(QueueSettings(redis_url="redis://:hunter2@host"))


@pytest.mark.parametrize("namespace", ["", "a:b", "a b", "x" * 65])
def test_a_namespace_is_a_plain_word(namespace: str) -> None:
    with pytest.raises(ValidationError):
        QueueSettings(namespace=namespace)


@pytest.mark.parametrize("name", list(QueueSettings.model_fields))
def test_every_setting_is_explained(name: str) -> None:
    assert QueueSettings.model_fields[name].description


def test_a_secret_file_stands_in_for_its_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("ANYSR_REDIS_URL", raising=False)
    (tmp_path / "anysr_redis_url").write_text("redis://:secret@redis:6379/0\n")
    settings = QueueSettings(_secrets_dir=secrets_folder(tmp_path))
    assert settings.redis_url == "redis://:secret@redis:6379/0"
    monkeypatch.setenv("ANYSR_REDIS_URL", "redis://elsewhere:6379/0")
    settings = QueueSettings(_secrets_dir=secrets_folder(tmp_path))
    assert settings.redis_url == "redis://elsewhere:6379/0"


def test_a_machine_without_a_folder_of_secrets_is_no_news(tmp_path):
    assert secrets_folder(tmp_path / "none") is None
    assert secrets_folder(tmp_path) == tmp_path


def test_pictures_in_a_bucket() -> None:
    settings = QueueSettings(
        namespace="n",
        blob_url="s3://pictures/queue/one/",
        blob_endpoint="https://s3.example.com/",
        blob_access_key_id="key",
        blob_secret_access_key="hunter2",
        blob_mb=16,
    )
    assert settings.bucket is not None
    assert (settings.bucket.bucket, settings.bucket.prefix) == ("pictures", "queue/one/n")
    assert settings.bucket.address_for_callers == "https://s3.example.com"
    assert settings.bucket.most_bytes == 16 << 20
    assert "hunter2" not in repr(settings) + repr(settings.bucket)


def test_a_bucket_is_amazons_without_an_endpoint_and_needs_no_prefix() -> None:
    bucket = QueueSettings(blob_url="s3://pictures", blob_region="eu-west-1").bucket
    assert bucket is not None
    assert (bucket.prefix, bucket.access_key_id) == ("anysr", None)
    assert bucket.address_for_callers == "https://s3.eu-west-1.amazonaws.com"
    assert QueueSettings(blob_url="redis://host").bucket is None


@pytest.mark.parametrize(
    "wrong",
    [
        *({"blob_url": url} for url in ("s3://", "s3://A_B/x", "s3://abc/../x", "s3://abc/a b")),
        *({"blob_url": url} for url in ("http://host/bucket", "s3://abc//x", "s3://abc/x?y=z")),
        *({"blob_endpoint": url} for url in ("s3.example.com", "http://a@b", "http://a/b")),
        {"blob_access_key_id": "key"},
        {"blob_secret_access_key": "secret"},
        {"blob_region": "eu west"},
    ],
)
def test_a_wrong_bucket_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QueueSettings.model_validate(wrong)


def test_a_divided_queue_has_one_server_or_one_for_each_shard() -> None:
    urls = "redis://a,redis+sentinel://b,c/queue"
    assert urls_in(urls) == ("redis://a", "redis+sentinel://b,c/queue")
    assert QueueSettings(redis_url=urls, queue_shards=2).redis_url == urls
    assert QueueSettings(redis_url="redis+cluster://a,b", queue_shards=3).queue_shards == 3
    with pytest.raises(ValidationError, match="one for each shard"):
        QueueSettings(redis_url=urls, queue_shards=3)
    with pytest.raises(ValidationError, match="must start with one of"):
        QueueSettings(redis_url="redis://a,http://b", queue_shards=2)
