"""The queue's settings, from environment variables with the prefix ANYSR_."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs import cluster_url, sentinel_url
from jobs.bucket_settings import MEBIBYTE, S3, BucketSettings, check_place, place_of

SCHEMES = ("redis://", "rediss://", "unix://", *sentinel_url.SCHEMES, *cluster_url.SCHEMES)
BETWEEN_URLS = re.compile(r",(?=[a-z+]+://)")
ENDPOINT = re.compile(r"https?://[^/?#@\s]+/?")
SECRETS = Path("/run/secrets")
"""Where container engines mount secrets: a file of a variable's name stands in for the variable."""


def secrets_folder(folder: Path = SECRETS) -> Path | None:
    """Return the folder of secrets; None where there is none, for then its absence is no news."""
    return folder if folder.is_dir() else None


def urls_in(text: str) -> tuple[str, ...]:
    """Return the URLs in a text, between commas; those of sentinels and clusters have commas of
    their own between hosts."""
    return tuple(BETWEEN_URLS.split(text))


def _redis_url(text: str | None) -> str | None:
    if not text:
        return None
    for url in urls_in(text):
        if not url.startswith(SCHEMES):
            raise ValueError(f"must start with one of {', '.join(SCHEMES)}")
        if sentinel_url.is_sentinel_url(url):
            sentinel_url.read_sentinel_url(url)
        if cluster_url.is_cluster_url(url):
            cluster_url.read_cluster_url(url)
    return text


def _blob_url(url: str | None) -> str | None:
    if url and url.startswith(S3):
        check_place(url)
    elif url and not url.startswith(SCHEMES):
        raise ValueError(f"must start with one of {', '.join((*SCHEMES, S3))}")
    return url or None


def _endpoint(url: str | None) -> str | None:
    if url and not ENDPOINT.fullmatch(url):
        raise ValueError("must be http:// or https:// and a host, with a port or without")
    return url.rstrip("/") if url else None


def _secret(secret: SecretStr | None) -> SecretStr | None:
    return secret if secret is not None and secret.get_secret_value() else None


RedisUrl = Annotated[str | None, AfterValidator(_redis_url)]
BlobUrl = Annotated[str | None, AfterValidator(_blob_url)]
Endpoint = Annotated[str | None, AfterValidator(_endpoint)]
Secret = Annotated[SecretStr | None, AfterValidator(_secret)]


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
        "redis+sentinel://host,host/service: docs/reliability.md; or, of a cluster, "
        "redis+cluster://host,host: docs/scaling.md; or, of shards, one URL for each, between "
        "commas); unset: a private one.",
    )
    queue_shards: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Shards into which the queue is divided, each with workers of its own "
        "(docs/scaling.md). More than 1: for more workers than one server carries.",
    )
    embedded_redis_mb: int | None = Field(
        default=None,
        ge=64,
        description="Memory that the private Redis may take, in MB; when it is full, new jobs are "
        "refused with 429. Unset: a quarter of the machine's, from 256 to 2048.",
    )
    blob_url: BlobUrl = Field(
        default=None,
        repr=False,
        description="Where pictures are kept, so that large ones do not delay the queue: a second "
        "Redis, or a bucket of an S3 store (`s3://bucket/prefix`; docs/uploads.md). Unset: the "
        "queue's own.",
    )
    blob_endpoint: Endpoint = Field(
        default=None,
        description="Address of the store of ANYSR_BLOB_URL=s3://…, such as "
        "`https://s3.example.com`. Unset: Amazon's, by the region.",
    )
    blob_public_endpoint: Endpoint = Field(
        default=None,
        description="Address of the same store for callers, in the URLs that they upload to and "
        "fetch from. Unset: ANYSR_BLOB_ENDPOINT.",
    )
    blob_region: str = Field(
        default="us-east-1",
        pattern=r"^[a-z0-9-]{1,64}$",
        description="Region that signatures for that store name.",
    )
    blob_access_key_id: Secret = Field(
        default=None,
        description="Key for the bucket, with ANYSR_BLOB_SECRET_ACCESS_KEY; `POST /uploads` needs "
        "both. Unset: credentials come from the environment, the instance or the pod.",
    )
    blob_secret_access_key: Secret = Field(default=None, description="The secret of that key.")
    blob_virtual_hosted: bool = Field(
        default=False, description="Whether the bucket is a part of the host's name in URLs."
    )
    blob_mb: int = Field(
        default=10_240,
        ge=16,
        description="Most that all pictures in the bucket may take together, in MB; when it is "
        "full, new jobs are refused with 429.",
    )
    upload_seconds: int = Field(
        default=900,
        ge=10,
        le=86_400,
        description="How long an upload of `POST /uploads` can be written, and named by a job.",
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

    @model_validator(mode="after")
    def _key_and_secret(self) -> Self:
        if (self.blob_access_key_id is None) != (self.blob_secret_access_key is None):
            raise ValueError("blob_access_key_id and blob_secret_access_key need each other")
        return self

    @model_validator(mode="after")
    def _shards_and_urls(self) -> Self:
        urls = len(urls_in(self.redis_url)) if self.redis_url else 1
        if urls not in (1, self.queue_shards):
            raise ValueError("redis_url must name one server or cluster, or one for each shard")
        return self

    @property
    def bucket(self) -> BucketSettings | None:
        """The bucket of the pictures; None where they are in Redis."""
        if self.blob_url is None or not self.blob_url.startswith(S3):
            return None
        bucket, prefix = place_of(self.blob_url)
        return BucketSettings(
            bucket=bucket,
            prefix="/".join(part for part in (prefix, self.namespace) if part),
            endpoint=self.blob_endpoint,
            public_endpoint=self.blob_public_endpoint,
            region=self.blob_region,
            access_key_id=_text(self.blob_access_key_id),
            secret_access_key=_text(self.blob_secret_access_key),
            virtual_hosted=self.blob_virtual_hosted,
            most_bytes=self.blob_mb * MEBIBYTE,
        )


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
