"""Body of a request, read within bounds of size, time and rate."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request

from jobs.errors import BodyTooLarge
from service.settings import GatewaySettings

GRACE_S = 5.0
"""Time for which an upload may be slower than the least rate: a connection that starts slowly, or
stops for a moment."""


def declared_length(headers: Headers) -> int:
    """Return the Content-Length in bytes, 0 where it is missing or no number."""
    declared = headers.get("content-length", "")
    return int(declared[:20]) if declared.isdecimal() else 0


class BodyReader:
    """Reads request bodies; one that exceeds a bound is refused while it arrives."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._limit = settings.max_body_bytes
        self._timeout_s = settings.upload_timeout_seconds
        self._least_rate = settings.min_upload_bytes_per_second

    def check_declared_length(self, request: Request) -> None:
        """Raise BodyTooLarge if the Content-Length is over the limit."""
        if declared_length(request.headers) > self._limit:
            raise self._too_large()

    async def chunks(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives.

        Raises BodyTooLarge as soon as the limit is passed, and HTTPException 408 when the body
        takes too long, or has arrived at less than the least rate after a grace of GRACE_S.
        """
        stream = request.stream()
        begun, count = asyncio.get_running_loop().time(), 0
        while True:
            allowed_s = min(self._timeout_s, self._seconds_for(count))
            try:
                async with asyncio.timeout_at(begun + allowed_s):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise self._too_slow(allowed_s) from None
            if chunk is None:
                return
            count += len(chunk)
            if count > self._limit:
                raise self._too_large()
            yield chunk

    def _seconds_for(self, count: int) -> float:
        """Return the time after which an upload of `count` bytes so far is below the least rate."""
        return GRACE_S + count / self._least_rate if self._least_rate else math.inf

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The request body is larger than {self._limit} bytes ({self._limit / 2**20:.4g} MiB), "
            "the most that is accepted; send fewer pixels, or the picture as WebP or AVIF.",
            max_body_bytes=self._limit,
        )

    def _too_slow(self, allowed_s: float) -> HTTPException:
        if allowed_s >= self._timeout_s:
            text = f"The request body took longer than {self._timeout_s:g} s to arrive."
        else:
            text = (
                f"The request body arrived at less than {self._least_rate} bytes per second; the "
                f"service waits {GRACE_S:g} s for a slower one."
            )
        return HTTPException(408, text)
