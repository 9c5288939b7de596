"""Bodies, of requests and of answers to the gateway, read within bounds of size, time and rate."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from starlette.exceptions import HTTPException
from starlette.requests import Request

from jobs.errors import BodyTooLarge
from service.settings import GatewaySettings

GRACE_S = 5.0
"""Time for which an upload may be slower than the least rate: a connection that starts slowly, or
stops for a moment."""


REQUEST_BODY = "The request body"


def declared_length(headers: Mapping[str, str]) -> int:
    """Return the Content-Length in bytes, 0 where it is missing or no number."""
    declared = headers.get("content-length", "")
    return int(declared[:20]) if declared.isdecimal() else 0


class ArrivesTooSlowly(Exception):
    """A body takes too long, or comes at less than the least rate. The text tells which."""


class BodyReader:
    """Reads bodies; one that exceeds a bound is refused while it arrives."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._limit = settings.max_body_bytes
        self._timeout_s = settings.upload_timeout_seconds
        self._least_rate = settings.min_upload_bytes_per_second

    def check_declared_length(self, headers: Mapping[str, str], what: str = REQUEST_BODY) -> None:
        """Raise BodyTooLarge if the Content-Length is over the limit."""
        if declared_length(headers) > self._limit:
            raise self._too_large(what)

    async def chunks(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Yield the body of a request as it arrives.

        Raises BodyTooLarge as soon as the limit is passed, and HTTPException 408 when the body
        takes too long, or has arrived at less than the least rate after a grace of GRACE_S.
        """
        async with aclosing(self.bounded(request.stream())) as chunks:
            try:
                async for chunk in chunks:
                    yield chunk
            except ArrivesTooSlowly as error:
                raise HTTPException(408, str(error)) from None

    async def bounded(
        self, stream: AsyncIterator[bytes], what: str = REQUEST_BODY
    ) -> AsyncGenerator[bytes, None]:
        """Yield a body as it arrives; `what` is its name in errors. Raises BodyTooLarge and
        ArrivesTooSlowly, by the rules of `chunks`."""
        begun, count = asyncio.get_running_loop().time(), 0
        while True:
            allowed_s = min(self._timeout_s, self._seconds_for(count))
            try:
                async with asyncio.timeout_at(begun + allowed_s):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise self._too_slow(allowed_s, what) from None
            if chunk is None:
                return
            count += len(chunk)
            if count > self._limit:
                raise self._too_large(what)
            yield chunk

    def _seconds_for(self, count: int) -> float:
        """Return the time after which an upload of `count` bytes so far is below the least rate."""
        return GRACE_S + count / self._least_rate if self._least_rate else math.inf

    def _too_large(self, what: str) -> BodyTooLarge:
        return BodyTooLarge(
            f"{what} is larger than {self._limit} bytes ({self._limit / 2**20:.4g} MiB), "
            "the most that is accepted; send fewer pixels, or the picture as WebP or AVIF.",
            max_body_bytes=self._limit,
        )

    def _too_slow(self, allowed_s: float, what: str) -> ArrivesTooSlowly:
        if allowed_s >= self._timeout_s:
            return ArrivesTooSlowly(f"{what} took longer than {self._timeout_s:g} s to arrive.")
        return ArrivesTooSlowly(
            f"{what} arrived at less than {self._least_rate} bytes per second; the "
            f"service waits {GRACE_S:g} s for a slower one."
        )
