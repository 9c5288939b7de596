"""The queue's settings, from environment variables with the prefix ANYSR_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs import sentinel_url

SCHEMES = ("redis://", "rediss://", "unix://", *sentinel_url.SCHEMES)
SECRETS = Path("/run/secrets")
"""Where container engines mount secrets: a file of a variable's name stands in for the variable."""


def secrets_folder(folder: Path = SECRETS) -> Path | None:
    """Return the folder of secrets; None where there is none, for then its absence is no news."""
    return folder if folder.is_dir() else None


def _redis_url(url: str | None) -> str | None:
    if not url:
        return None
    if not url.startswith(SCHEMES):
        raise ValueError(f"must start with one of {', '.join(SCHEMES)}")
    if sentinel_url.is_sentinel_url(url):
        sentinel_url.read_sentinel_url(url)
    return url


RedisUrl = Annotated[str | None, AfterValidator(_redis_url)]


class QueueSettings(BaseSettings):
    """Where the queue lives and how long things last in it."""

    model_config = SettingsConfigDict(
        env_prefix="ANYSR_",
        frozen=True,
        hide_input_in_errors=True,
        secrets_dir=secrets_folder(),
    )

    redis_url: RedisUrl = Field(
        default=None,
        repr=False,
        description="Redis of the queue (redis://, rediss://, unix://, or, watched by Sentinel, "
        "redis+sentinel://host,host/service: docs/reliability.md); unset: a private one.",
    )
    embedded_redis_mb: int | None = Field(
        default=None,
        ge=64,
        description="Memory that the private Redis may take, in MB; when it is full, new jobs are "
        "refused with 429. Unset: a quarter of the machine's, from 256 to 2048.",
    )
    blob_url: RedisUrl = Field(
        default=None,
        repr=False,
        description="Second Redis for pictures, so that large ones do not delay the queue; "
        "unset: the queue's own.",
    )
    durable_replicas: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Replicas of the Redis that must have a durable job on their disks as well "
        "before it is accepted: 1 or more for Redis with Sentinel.",
    )
    namespace: str = Field(
        default="anysr",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="First part of every Redis key; services that share a Redis need their own.",
    )
    queue_limit: int = Field(
        default=256, ge=1, description="Jobs that may wait; further ones get 429."
    )
    lease_seconds: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="How long a silent worker keeps a job before another worker gets it.",
    )
    max_attempts: int = Field(
        default=3, ge=1, description="Workers that may die with a job before it is given up."
    )
    unserved_seconds: float = Field(
        default=15.0,
        ge=0,
        description="How long a waiting job outlives the last worker that had its model, so "
        "that it survives a restart; then it ends as unknown_model or unknown_width.",
    )
    payload_ttl_seconds: int = Field(
        default=3600, ge=1, description="How long an uploaded picture is kept for a waiting job."
    )
    result_ttl_seconds: int = Field(
        default=600, ge=1, description="How long a finished picture can be fetched."
    )
    job_ttl_seconds: int = Field(
        default=3600, ge=1, description="How long the record of an ended job is kept."
    )
    pulse_ttl_seconds: float = Field(
        default=3.0, ge=0.1, description="How long a silent worker counts as living."
    )
