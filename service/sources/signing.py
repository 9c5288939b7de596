"""Signed URLs of objects, by the credentials of their bucket."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from jobs.errors import BucketDenied
from service.sources.buckets import Bucket

if TYPE_CHECKING:
    from obstore.store import S3Config

VALID = timedelta(minutes=5)
"""How long a signed URL can be used: it is used at once, and clocks differ."""


def _store(name: str, bucket: Bucket) -> S3Store:
    config: S3Config = {
        "bucket": bucket.bucket or name,
        "endpoint": bucket.endpoint.rstrip("/"),
        "region": bucket.region,
        "virtual_hosted_style_request": bucket.virtual_hosted,
    }
    key, secret = bucket.access_key_id, bucket.secret
    if key is not None and secret is not None:
        config["access_key_id"] = key.get_secret_value()
        config["secret_access_key"] = secret
    return S3Store(config=config, client_options={"allow_http": True})


class Signer:
    """Signs URLs. Stores are kept, because each has an HTTP client for its credentials."""

    def __init__(self) -> None:
        self._stores: dict[str, S3Store] = {}

    async def signed(
        self, name: str, bucket: Bucket, key: str, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        """Return a URL by which to read or write an object. Credentials that no setting names come
        from where S3 clients find them (the environment, the instance, the pod). Raises
        BucketDenied if there are none."""
        if name not in self._stores:
            self._stores[name] = _store(name, bucket)
        try:
            return await obstore.sign_async(self._stores[name], method, key, VALID)
        except BaseError:  # its text may hold a part of the credentials
            raise BucketDenied("There are no credentials for this bucket.") from None
