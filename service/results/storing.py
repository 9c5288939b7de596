"""Storing: one attempt to put a picture where its caller wants it, within bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

import httpx

from jobs.errors import (
    AnysrError,
    BucketDenied,
    BucketNotFound,
    DataLoss,
    NotReady,
    ResultExpired,
)
from jobs.queue import Attempt, AttemptOutcome, Delivery, Submissions
from service.deliveries.attempts import Attempts, skim
from service.metrics import WRITE, GatewayMetrics
from service.outbound.client import OutboundClient, TimeBounds
from service.result_room import ResultRoom, read_result
from service.sliced_response import SLICE_BYTES
from service.sources.buckets import S3, Bucket, split_address, writable
from service.sources.signing import Signer

TRANSIENT = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
"""Refusals after which the same request may succeed."""
STORE_CODES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: BucketDenied.code,
    HTTPStatus.FORBIDDEN: BucketDenied.code,
    HTTPStatus.NOT_FOUND: BucketNotFound.code,
}


class ResultSender:
    """Reads the picture of a delivery from the queue, and PUTs it.

    `outbound` connects to what callers name, `stores` to the stores that the operator names. `room`
    bounds the memory of all pictures that are sent at once.
    """

    def __init__(
        self,
        submissions: Submissions,
        room: ResultRoom,
        outbound: OutboundClient,
        buckets: Mapping[str, Bucket],
        stores: OutboundClient,
        metrics: GatewayMetrics,
        within_s: float,
    ) -> None:
        self._submissions = submissions
        self._room = room
        self._outbound = outbound
        self._buckets = buckets
        self._stores = stores
        self._metrics = metrics
        self._signer = Signer()
        self._within = TimeBounds(within_s)
        self._attempts = Attempts()

    async def attempt(self, delivery: Delivery) -> Attempt:
        """Make one attempt; whatever the receiver does is part of the answer. A picture or URL that
        has expired, or a picture that is damaged, ends the delivery."""
        in_bucket = delivery.as_it_stands.to.startswith(S3)
        share = self._room.share(delivery.job.job)
        try:
            picture = await read_result(self._submissions, delivery.job, share)
            attempt = await self._sent(delivery, picture, in_bucket=in_bucket)
            if attempt.outcome is AttemptOutcome.DELIVERED:
                self._metrics.picture_stored(len(picture))
            elif in_bucket:
                self._metrics.bucket_failed(WRITE)
            return attempt
        except (ResultExpired, DataLoss) as error:
            return Attempt(AttemptOutcome.REFUSED, error.code)
        except AnysrError as error:  # of the queue
            return self._attempts.failed(delivery, error.code)
        except ConnectionError:  # of the pictures' Redis
            return self._attempts.failed(delivery, NotReady.code)
        finally:
            share.release()

    async def _sent(self, delivery: Delivery, picture: bytes, *, in_bucket: bool) -> Attempt:
        try:
            return await (self._into_bucket if in_bucket else self._to_url)(delivery, picture)
        except AnysrError as error:
            return self._attempts.failed(delivery, error.code)

    async def _into_bucket(self, delivery: Delivery, picture: bytes) -> Attempt:
        """What a store refuses is tried again: its operator may mend rights and credentials."""
        name, key = split_address(delivery.as_it_stands.to)
        bucket = writable(self._buckets, name, key)
        url = await self._signer.signed(name, bucket, key, "PUT")
        async with self._put(self._stores, url, delivery, picture) as response:
            await skim(response)
            if response.is_success:
                return Attempt(AttemptOutcome.DELIVERED, str(response.status_code))
            status = response.status_code
            return self._attempts.failed(delivery, STORE_CODES.get(status, str(status)), response)

    async def _to_url(self, delivery: Delivery, picture: bytes) -> Attempt:
        """What refuses this very request, as an expired signature does, is not tried again."""
        if delivery.url is None:
            return Attempt(AttemptOutcome.REFUSED, ResultExpired.code)
        async with self._put(self._outbound, delivery.url, delivery, picture) as response:
            await skim(response)
            status = response.status_code
            if response.is_success:
                return Attempt(AttemptOutcome.DELIVERED, str(status))
            if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in TRANSIENT:
                return Attempt(AttemptOutcome.REFUSED, str(status))
            return self._attempts.failed(delivery, str(status), response)

    def _put(
        self, client: OutboundClient, url: str, delivery: Delivery, picture: bytes
    ) -> AbstractAsyncContextManager[httpx.Response]:
        headers = {
            "Content-Type": delivery.job.job.output_format.media_type,
            # Stores take no body in chunks from a signed URL.
            "Content-Length": str(len(picture)),
        }
        return client.sent("PUT", url, self._within, headers, _slices(picture))


async def _slices(picture: bytes) -> AsyncIterator[bytes]:
    """Yield a picture in parts, each of which has the time to be taken that a whole one lacks."""
    whole = memoryview(picture)
    for start in range(0, len(picture), SLICE_BYTES):
        yield bytes(whole[start : start + SLICE_BYTES])
