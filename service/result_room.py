"""Room for results: bounds the bytes of finished pictures that the gateway holds at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from jobs.errors import NotReady
from jobs.job import JobRequest, JobView
from jobs.queue import Submissions

RETRY_S = 5
"""Retry-After while no room gets free."""
BYTES_PER_PIXEL = 8
"""Of a picture that does not compress: four channels of 16 bits."""

SMALL, RESERVE = 1 / 64, 1 / 8
"""Parts of the room: the largest result that counts as small, and what is reserved for these."""
READS_AT_ONCE = 2
"""Results that are read from Redis at once, if they were not read along with their job: a
connection keeps the buffer of the last answer that it has read until its next one."""


class ResultRoom:
    """Room of `limit_bytes`, handed out in the order of the requests for it.

    A result larger than all of it gets it alone. Small ones do not wait behind large ones, whose
    callers may read slowly: an eighth more is reserved for them. Waiting ends after `patience_s`.
    """

    def __init__(self, limit_bytes: int, patience_s: float) -> None:
        self._limit = limit_bytes
        self._patience_s = patience_s
        self._waiting: deque[ResultShare] = deque()
        self._held, self._reserve_held = 0, 0
        self.reading = asyncio.Semaphore(READS_AT_ONCE)

    @property
    def held(self) -> int:
        """Bytes in use."""
        return self._held + self._reserve_held

    def share(self, job: JobRequest) -> ResultShare:
        """Return the share of a job's result, with no room yet."""
        return ResultShare(self, BYTES_PER_PIXEL * job.output_width * job.output_height)

    def fits(self, size: int) -> bool:
        """Return whether there is room for so many bytes now."""
        return self._fits_reserve(size) or (not self._waiting and self._is_free(size))

    def assign(self, share: ResultShare, size: int) -> None:
        """Let a share have `size` bytes in place of those it has, and hand out what is free."""
        self._set(share, size)
        while self._waiting and self._is_free(self._waiting[0].wanted):
            following = self._waiting.popleft()
            self._set(following, following.wanted)
            following.granted.set()

    async def wait(self, share: ResultShare) -> None:
        """Wait until a share has its bytes. Raises NotReady after the patience."""
        self._waiting.append(share)
        try:
            async with asyncio.timeout(self._patience_s):
                await share.granted.wait()
        except TimeoutError:
            raise NotReady(
                "The gateway holds as many results as it may; fetch this one later from "
                "/jobs/{id}/result, by the id in X-Request-ID, or send the picture again.",
                retry_after_s=RETRY_S,
            ) from None

    def withdraw(self, share: ResultShare) -> None:
        """Give back the room of a share, also if it waits."""
        if share in self._waiting:
            self._waiting.remove(share)
        self.assign(share, 0)

    def _is_free(self, size: int) -> bool:
        return self._held == 0 or self._held + size <= self._limit

    def _fits_reserve(self, size: int) -> bool:
        small = size <= self._limit * SMALL
        return small and self._reserve_held + size <= self._limit * RESERVE

    def _set(self, share: ResultShare, size: int) -> None:
        if not share.taken:
            share.reserved = self._fits_reserve(size)
        if share.reserved:
            self._reserve_held += size - share.taken
        else:
            self._held += size - share.taken
        share.taken = size


class ResultShare:
    """Room for one result: taken before it is read from Redis, released when it was sent."""

    def __init__(self, room: ResultRoom, most: int) -> None:
        self.room = room
        self._released = False
        self.most = most
        """Estimate of the result's size before it is known, in bytes; rarely too small."""
        self.wanted = 0
        """Bytes that the share waits for."""
        self.taken = 0
        """Bytes that it has."""
        self.reserved = False
        """Whether they are in the reserve for small results."""
        self.granted = asyncio.Event()
        self.waited_ms = 0.0

    def take_most(self) -> bool:
        """Take room for the largest result, without waiting; return whether it is there."""
        if not self.taken and not self._released and self.room.fits(self.most):
            self.room.assign(self, self.most)
        return self.taken > 0

    async def take(self, size: int) -> None:
        """Wait for room for a result of `size` bytes. Raises NotReady if that takes too long."""
        self.wanted = max(1, size)
        if self.room.fits(self.wanted):
            self.room.assign(self, self.wanted)
            return
        since = time.monotonic()
        await self.room.wait(self)
        self.waited_ms = (time.monotonic() - since) * 1e3

    def settle(self, size: int) -> None:
        """Keep room for the result as it was read, in place of an estimate."""
        if self.taken:
            self.room.assign(self, size)

    def release(self) -> None:
        """Give the room back, for good. Calling it again changes nothing."""
        self._released = True
        self.room.withdraw(self)


async def read_result(submissions: Submissions, view: JobView, share: ResultShare) -> bytes:
    """Return the picture of a job that succeeded, once there is room for it.

    Raises as `Submissions.result`, and NotReady if no room gets free.
    """
    if not share.take_most():
        await share.take(await submissions.result_bytes(view))
    async with share.room.reading:
        picture = await submissions.result(view)
    share.settle(len(picture))
    return picture
