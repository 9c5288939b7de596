"""Reads the picture at an address that a request names, within the bounds of an upload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus

import httpx

from jobs.errors import (
    AnysrError,
    BucketDenied,
    ObjectNotFound,
    RemoteError,
    RemoteRefused,
    RemoteTooSlow,
    SourceChanged,
)
from service.body_bounds import ArrivesTooSlowly, BodyReader, declared_length
from service.metrics import DONE, GatewayMetrics
from service.outbound.client import OutboundClient, TimeBounds
from service.picture_buffer import PictureBuffer
from service.sources.buckets import S3, Bucket, readable, split_address
from service.sources.hosts import AllowedHosts
from service.sources.signing import Signer

PICTURE = "The picture at this address"
ANY_KIND = {"Accept": "image/*, */*;q=0.5"}
LONG_S = 1.0
"""Seconds of reading after which a picture is asked for anew: a file that was written to meanwhile
is a mixture of two, whose pixels would not tell."""
VALIDATORS = ("etag", "last-modified")


class SourceReader:
    """Reads pictures from the URLs of allowed hosts, and from configured buckets.

    `outbound` connects to what callers name, `stores` to the stores that the operator names.
    """

    def __init__(
        self,
        body: BodyReader,
        within: TimeBounds,
        hosts: AllowedHosts,
        outbound: OutboundClient,
        buckets: Mapping[str, Bucket],
        stores: OutboundClient,
        metrics: GatewayMetrics,
        long_s: float = LONG_S,
    ) -> None:
        self._body = body
        self._within = within
        self._hosts = hosts
        self._outbound = outbound
        self._buckets = buckets
        self._stores = stores
        self._metrics = metrics
        self._signer = Signer()
        self._long_s = long_s

    async def picture(self, source: str) -> bytes:
        """Return the picture at an address, http(s) or `s3://bucket/key`.

        Raises SourceNotAllowed, BucketNotAllowed, AddressRefused, InvalidRequest, the kinds of
        RemoteError, and BodyTooLarge.
        """
        in_bucket = source.lower().startswith(S3)
        kind, begun = "s3" if in_bucket else "http", time.monotonic()
        try:
            picture = await (self._object(source) if in_bucket else self._at_url(source))
        except AnysrError as error:
            self._metrics.fetch(kind, error.code, time.monotonic() - begun)
            raise
        self._metrics.fetch(kind, DONE, time.monotonic() - begun, len(picture))
        return picture

    async def _at_url(self, url: str) -> bytes:
        self._hosts.check_on()
        async with self._outbound.fetched(
            url, self._within, self._hosts.check, ANY_KIND
        ) as response:
            if response.status_code != HTTPStatus.OK:
                raise _refusal(response)
            return await self._read(response, self._outbound)

    async def close(self) -> None:
        """Close the connections to stores."""
        await self._stores.close()

    async def _object(self, address: str) -> bytes:
        name, key = split_address(S3 + address[len(S3) :])
        bucket = readable(self._buckets, name, key)
        url = await self._signer.signed(name, bucket, key)
        async with self._stores.sent("GET", url, self._within) as response:
            if response.status_code != HTTPStatus.OK:
                raise _store_refusal(response)
            return await self._read(response, self._stores)

    async def _read(self, response: httpx.Response, client: OutboundClient) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise RemoteRefused("The URL's host compresses the picture, though asked not to.")
        self._body.check_declared_length(response.headers, PICTURE)
        clock = asyncio.get_running_loop().time
        begun = clock()
        buffer = PictureBuffer(declared_length(response.headers))
        try:
            async with aclosing(self._body.bounded(response.aiter_raw(), PICTURE)) as chunks:
                async for chunk in chunks:
                    buffer.write(chunk)
        except ArrivesTooSlowly as error:
            raise RemoteTooSlow(str(error)) from None
        except httpx.RemoteProtocolError:  # fewer bytes than were declared
            raise SourceChanged() from None
        if clock() - begun >= self._long_s:
            await self._check_unchanged(response, client)
        return buffer.picture()

    async def _check_unchanged(self, read: httpx.Response, client: OutboundClient) -> None:
        """Raise SourceChanged if the file at a URL is no longer the one that was read. A host that
        does not say so, or no longer answers, is believed."""
        async with client.sent("GET", str(read.url), self._within, ANY_KIND) as now:
            if now.status_code != HTTPStatus.OK:
                return
            for name in VALIDATORS:
                before, after = read.headers.get(name), now.headers.get(name)
                if before and after:
                    if before != after:
                        raise SourceChanged()
                    return


def _refusal(response: httpx.Response) -> RemoteError:
    return RemoteRefused(
        f"The URL's host answered with status {response.status_code}.",
        remote_status=response.status_code,
    )


def _store_refusal(response: httpx.Response) -> RemoteError:
    if response.status_code == HTTPStatus.NOT_FOUND:
        return ObjectNotFound()
    if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return BucketDenied()
    return _refusal(response)
