"""Destinations that requests name for their pictures: keys of buckets, and URLs to PUT to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import httpx

from jobs.errors import AddressRefused, InvalidRequest
from jobs.terms import ResultTarget
from service.outbound.addresses import AllowedAddresses
from service.outbound.client import OutboundClient
from service.outbound.urls import literal_address
from service.sources.buckets import S3, Bucket, split_address, writable
from service.sources.hosts import AllowedHosts


class Placed(Protocol):
    """What names at most one destination."""

    @property
    def result(self) -> str | None:
        """`s3://bucket/key`."""

    @property
    def result_url(self) -> str | None:
        """A URL to PUT to."""


class Destinations:
    """Checks where callers want their pictures, before anything is queued."""

    def __init__(
        self,
        buckets: Mapping[str, Bucket],
        hosts: AllowedHosts,
        client: OutboundClient,
        allowed: AllowedAddresses,
        schemes: tuple[str, ...],
    ) -> None:
        self._buckets = buckets
        self._hosts = hosts
        self._client = client
        self._allowed = allowed
        self._schemes = schemes

    def target(self, wanted: Placed) -> ResultTarget | None:
        """Return where the picture of a request goes; None where its caller fetches it.

        The name in a URL is not resolved before the delivery, which checks its addresses then.
        Raises InvalidRequest, BucketNotAllowed, ResultNotAllowed and AddressRefused.
        """
        if wanted.result is not None:
            return self._in_bucket(wanted.result)
        return None if wanted.result_url is None else self._at_url(wanted.result_url)

    def _in_bucket(self, address: str) -> ResultTarget:
        if not address.lower().startswith(S3):
            raise InvalidRequest("result must be s3://bucket/key; a URL goes into result_url.")
        name, key = split_address(S3 + address[len(S3) :])
        bucket = writable(self._buckets, name, key)
        return ResultTarget(f"{S3}{name}/{key}", host_of(httpx.URL(bucket.endpoint)))

    def _at_url(self, text: str) -> ResultTarget:
        self._hosts.check_on()
        url = self._client.parse(text, self._schemes)
        self._hosts.check(url)
        host = host_of(url)
        literal = literal_address(host)
        if literal is not None and literal not in self._allowed:
            raise AddressRefused
        return ResultTarget(f"{url.scheme}://{host}", host, str(url))


def host_of(url: httpx.URL) -> str:
    """Return the host of a URL, in ASCII and lower case."""
    return url.raw_host.decode("ascii").lower().removesuffix(".")
