"""Settings of the gateway, each an environment variable ANYSR_<NAME>."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from images.limits import JOB_BYTES, Limits
from jobs.settings import secrets_folder
from service.links.settings import LinkKeys
from service.outbound.settings import Items, Networks, Ports
from service.sources.hosts import read_pattern
from service.webhooks.settings import Secrets
from telemetry.logs import LogSettings

MEGAPIXEL = 1_000_000
MEBIBYTE = 1024 * 1024
STALE_PERIODS = 5
"""Default age of a stale snapshot, in periods of `snapshot_seconds`."""

SHORTEST_KEY = 16


def _admin_key(key: SecretStr | None) -> SecretStr | None:
    if key is None or not key.get_secret_value():
        return None
    if len(key.get_secret_value()) < SHORTEST_KEY:
        raise ValueError(f"must have at least {SHORTEST_KEY} characters")
    return key


def _key_file(path: object) -> object:
    """Return the path of the file of keys; None for an empty variable. The text of such a file, as
    a secret named anysr_keys would give it, is no path."""
    text = str(path or "")
    if "\n" in text or "=" in text:
        raise ValueError(
            "must be the path of a file with keys, not its text; that of a secret is "
            "/run/secrets/ and its name, which must not be anysr_keys"
        )
    return path or None


KeyFilePath = Annotated[Path | None, BeforeValidator(_key_file)]


def _hosts(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(read_pattern(pattern) for pattern in patterns)


AdminKey = Annotated[SecretStr | None, AfterValidator(_admin_key)]


class GatewaySettings(LogSettings):
    """Settings of the gateway. Limits are the largest allowed values; names carry their unit."""

    model_config = SettingsConfigDict(
        env_prefix="ANYSR_",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        secrets_dir=secrets_folder(),
    )

    host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that the gateway listens on.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of its own for /metrics and /health in full; ANYSR_PORT then has no "
        "/metrics, and its /health shows the status alone. 0: all on ANYSR_PORT.",
    )
    metrics_host: str | None = Field(
        None, description="Address of ANYSR_METRICS_PORT; unset: ANYSR_HOST."
    )
    root_path: str = Field(
        "", description="Path prefix that a reverse proxy strips, for links in answers."
    )
    trusted_hosts: tuple[str, ...] = Field(
        (),
        description="Host names (a JSON list) that requests may carry in their Host header, beside "
        'loopback and the address that they came to; `"*.name"` for all below a name, `"*"` for '
        "all; others get 421. Unset: ANYSR_HOST, or all if that is every address.",
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins (a JSON list) whose pages may call the service."
    )
    models_folder: Path | None = Field(
        None,
        validation_alias="ANYSR_MODELS",
        description="Folder of models with its catalog; the shipped one when not set.",
    )
    admin_key: AdminKey = Field(
        None,
        description="Key for the routes of /admin, at least 16 characters; unset: it is disabled.",
    )

    keys: KeyFilePath = Field(
        None,
        repr=False,
        description="File of the clients' keys (TOML, written by `anysr keys`; docs/keys.md), read "
        "again when it changes; every request for pictures or jobs then needs one. Unset: none "
        "does.",
    )

    max_body_bytes: int = Field(
        32 * MEBIBYTE, ge=1, description="Largest request body, in bytes; larger ones get 413."
    )
    max_source_pixels: int = Field(
        25 * MEGAPIXEL, ge=1, description="Most pixels of an input picture."
    )
    max_output_pixels: int = Field(
        100 * MEGAPIXEL, ge=1, description="Most pixels of an output picture."
    )
    max_job_bytes: int = Field(
        JOB_BYTES,
        ge=64 << 20,
        description="Most memory, in bytes, that making one picture may take, by its size, depth, "
        "transparency and output format (docs/reliability.md); more gets 413.",
    )
    max_uploads: int = Field(
        64, ge=1, description="Most bodies held at once, until the queue has them; more get 429."
    )
    max_uploads_per_client: int | None = Field(
        None,
        ge=1,
        description="Most bodies read at once from one address (IPv6: from one /64 network); more "
        "get 429. Unset: half of ANYSR_MAX_UPLOADS. Behind a reverse proxy all callers may share "
        "its address: see docs/reliability.md.",
    )
    upload_timeout_seconds: float = Field(
        60.0, gt=0, description="Longest time a request body may take to arrive."
    )
    min_upload_bytes_per_second: int = Field(
        16 * 1024,
        ge=0,
        description="Least rate of an upload, on average since 5 s after its start; a slower one "
        "gets 408. 0: none.",
    )

    open_uploads: int = Field(
        64,
        ge=1,
        description="Uploads of `POST /uploads` that one client, or without keys one address, may "
        "have before jobs take them; more get 429.",
    )

    sources: Annotated[Items, AfterValidator(_hosts)] = Field(
        (),
        description="Hosts (comma-separated) from which `image_url` may fetch a picture: "
        "`example.com`, `*.example.com` for all names below it, `*` for all. Unset: none.",
    )
    buckets: Annotated[Path | None, BeforeValidator(lambda path: path or None)] = Field(
        None,
        description="TOML file with the buckets that `image_url=s3://bucket/key` and "
        "`result=s3://bucket/key` may name, and their credentials (docs/sources.md).",
    )
    result_hosts: Annotated[Items, AfterValidator(_hosts)] = Field(
        (),
        description="Hosts (comma-separated, as in ANYSR_SOURCES) to which `result_url` may have a "
        "picture put. Unset: none.",
    )
    result_http: bool = Field(
        False,
        description="Whether `result_url` may be `http://`: whoever sees a presigned URL on its "
        "way can write there.",
    )
    durable: bool = Field(
        False,
        description="Whether POST /jobs and POST /batches answer only once the job is on the disk "
        "of Redis (docs/reliability.md), where a request does not say otherwise by `durable`. The "
        "gateway does not start with a Redis that cannot promise it.",
    )
    result_timeout_seconds: float = Field(
        60.0, gt=0, le=120, description="Longest time of one attempt to put a picture somewhere."
    )
    outbound_allow_private: Networks = Field(
        (),
        description="Networks (comma-separated, such as `10.1.0.0/16`) that URLs named by callers "
        "may lead to, although they are not public; all others are refused.",
    )
    outbound_ports: Ports = Field(
        (), description="Ports (comma-separated) that such URLs may have beside 80 and 443."
    )

    webhook_secrets: Secrets = Field(
        (),
        description="Secrets (comma-separated, `whsec_` and base64 of 24 to 64 bytes) that sign "
        "webhooks; each signs, so that receivers can change to a new one. Unset: `webhook_url` is "
        "refused.",
    )
    webhook_retry_seconds: float = Field(
        86_400.0,
        ge=0,
        description="How long after the end of its job a webhook is tried again; then it is kept "
        "among the dead.",
    )
    webhook_timeout_seconds: float = Field(
        10.0, gt=0, le=30, description="Longest time of one attempt to deliver a webhook."
    )
    webhook_deliveries: int = Field(
        32,
        ge=1,
        description="Webhooks that a gateway delivers at once; pictures that it puts somewhere "
        "count as well.",
    )
    webhook_deliveries_per_host: int = Field(4, ge=1, description="Of those, most to one host.")

    result_redirect: bool = Field(
        False,
        description="Whether `GET /jobs/{id}/result` answers 303 to the bucket of the pictures "
        "(ANYSR_BLOB_URL=s3://…) where `redirect` does not say.",
    )
    max_result_bytes_in_flight: int = Field(
        512 * MEBIBYTE,
        ge=1,
        description="Most bytes of finished pictures that are being sent at once; further ones "
        "wait in Redis, and get 503 after 30 s.",
    )

    link_keys: LinkKeys = Field(
        (),
        description="Keys (comma-separated, `id:secret` with secrets of at least 32 characters) of "
        "signed links (docs/links.md); the first one signs, all are valid. Unset: `GET /image` is "
        "refused.",
    )
    link_seconds: float = Field(
        86_400.0,
        ge=0,
        description="Longest time for which browsers and CDNs may keep the picture of a link.",
    )

    cache_mb: int = Field(
        0,
        ge=0,
        description="Most bytes of finished pictures, in MB, that are kept to answer further "
        "requests with the same picture and options (docs/cache.md), beside the queue's own in the "
        "Redis of the pictures; one picture may have an eighth of it. 0: none are kept.",
    )
    cache_seconds: float = Field(
        3600.0, ge=1, le=30 * 86_400, description="How long a finished picture is kept so."
    )
    cache_shared: bool = Field(
        False,
        description="Whether a client's requests are also answered by pictures that were made for "
        "other clients. Without ANYSR_KEYS all callers count as one.",
    )

    default_budget_ms: float = Field(
        10_000.0,
        gt=0,
        description="Latency budget of POST /upscale when none is given; a picture that needs "
        "longer gets more, and one whose good result takes less than a tenth of it gets ten times "
        "that.",
    )
    min_default_budget_ms: float = Field(
        1_000.0,
        gt=0,
        description="Smallest latency budget of POST /upscale when none is given.",
    )
    max_default_budget_ms: float = Field(
        120_000.0,
        gt=0,
        description="Largest latency budget of POST /upscale when none is given.",
    )
    default_job_budget_ms: float = Field(
        60_000.0,
        gt=0,
        description="Smallest latency budget of POST /jobs when none is given; a picture that "
        "needs longer gets more, up to ANYSR_MAX_BUDGET_MS.",
    )
    default_batch_budget_ms: float = Field(
        600_000.0,
        gt=0,
        description="Latency budget of each job of a batch that names none, at most "
        "ANYSR_MAX_BUDGET_MS: the longer, the more it gives way.",
    )
    batch_sources: int = Field(1000, ge=1, description="Most sources of one batch.")
    batches: int = Field(
        100,
        ge=1,
        description="Most batches that have not ended; of one client with a key, half as many. "
        "More get 429.",
    )
    batch_jobs: int = Field(
        8, ge=1, description="Sources of all batches that a gateway works on at once."
    )
    max_budget_ms: float = Field(600_000.0, gt=0, description="Largest latency budget.")
    overhead_ms: float = Field(
        10.0,
        gt=0,
        description="First estimate of the time that gateway and queue add to a run; later ones "
        "are measured.",
    )
    grace_ms: float = Field(
        30_000.0,
        ge=0,
        description="How long past its budget POST /upscale waits for a picture that may be late.",
    )

    snapshot_seconds: float = Field(
        1.0, gt=0, description="Period of the gateway's snapshots of workers and queue."
    )
    snapshot_stale_seconds: float | None = Field(
        None,
        gt=0,
        description="Age from which a snapshot counts as unknown, and requests get 503 until the "
        "next; unset: five times ANYSR_SNAPSHOT_SECONDS.",
    )
    shutdown_seconds: int = Field(
        20, ge=0, description="How long requests may take to finish once the gateway stops."
    )

    @model_validator(mode="after")
    def _stale_after_the_next_snapshot(self) -> Self:
        if self.stale_s <= self.snapshot_seconds:
            raise ValueError("snapshot_stale_seconds must be more than snapshot_seconds")
        return self

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.metrics_port and self.metrics_port == self.port:
            raise ValueError("metrics_port must not be port; 0 has the metrics there")
        return self

    @property
    def limits(self) -> Limits:
        """The limits on pictures."""
        return Limits(self.max_source_pixels, self.max_output_pixels, self.max_job_bytes)

    @property
    def uploads_per_client(self) -> int:
        """`max_uploads_per_client`, or its default."""
        return self.max_uploads_per_client or (self.max_uploads + 1) // 2

    @property
    def stale_s(self) -> float:
        """`snapshot_stale_seconds`, or its default."""
        return self.snapshot_stale_seconds or STALE_PERIODS * self.snapshot_seconds
