"""Buckets that callers may name, as the file of ANYSR_BUCKETS configures them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from jobs.errors import BucketNotAllowed, InvalidRequest
from jobs.settings_errors import SettingsError

LONGEST_KEY = 1024
"""Bytes of UTF-8, as S3 has it."""
S3 = "s3://"


class Bucket(BaseModel):
    """One bucket, its store, and what callers may do with it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/?#@]+/?$")]
    """The store's address, which the operator trusts: it is not checked as callers' URLs are."""
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    secret_access_key_file: Path | None = None
    """File with the secret, in place of `secret_access_key`."""
    bucket: str | None = None
    """Name in the store, where it differs from the one that callers use."""
    prefix: str = ""
    """What the keys that callers may name begin with."""
    virtual_hosted: bool = False
    """Whether the bucket is a part of the host's name, instead of the path."""
    read: bool = True
    write: bool = False

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        given = self.secret_access_key is not None, self.secret_access_key_file is not None
        if sum(given) != (self.access_key_id is not None):
            raise ValueError(
                "access_key_id needs secret_access_key or secret_access_key_file, and they need it"
            )
        return self

    @property
    def secret(self) -> str | None:
        """The secret access key; None where the environment has credentials. Raises OSError."""
        if self.secret_access_key_file is not None:
            return self.secret_access_key_file.read_text().strip()
        return None if self.secret_access_key is None else self.secret_access_key.get_secret_value()


def read_buckets(path: Path | None) -> dict[str, Bucket]:
    """Return the buckets of a TOML file by name, none without a file. Raises SettingsError."""
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        buckets = {name: Bucket.model_validate(table) for name, table in tables.items()}
        for bucket in buckets.values():
            _ = bucket.secret  # a file that is missing is found at the start
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"ANYSR_BUCKETS: {path} cannot be read: {error}.") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise SettingsError(f"ANYSR_BUCKETS: {path}: {where} {fault['msg']}.") from None
    return buckets


def split_address(address: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`. Raises InvalidRequest for a key that URLs cannot
    hold as it is: with empty parts, `.` or `..`, or control characters."""
    bucket, _, key = address.removeprefix(S3).partition("/")
    parts = key.split("/")
    if not bucket or any(part in ("", ".", "..") for part in parts) or not key.isprintable():
        raise InvalidRequest(
            "The address must be s3://bucket/key; the key's parts must not be empty, '.' or '..'."
        )
    if len(key.encode("utf-8", "replace")) > LONGEST_KEY:
        raise InvalidRequest(f"The key is longer than {LONGEST_KEY} bytes.")
    return bucket, key


def readable(buckets: Mapping[str, Bucket], name: str, key: str) -> Bucket:
    """Return the bucket of a name, from which callers may read this key. Raises BucketNotAllowed,
    whose text does not tell which buckets there are."""
    bucket = buckets.get(name)
    if bucket is None or not bucket.read or not key.startswith(bucket.prefix):
        raise BucketNotAllowed()
    return bucket


def writable(buckets: Mapping[str, Bucket], name: str, key: str) -> Bucket:
    """Return the bucket of a name, to which callers may have this key written. Raises as
    `readable`."""
    bucket = buckets.get(name)
    if bucket is None or not bucket.write or not key.startswith(bucket.prefix):
        raise BucketNotAllowed()
    return bucket
