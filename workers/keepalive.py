"""The keepalive of a worker: a byte a second to its pool, which kills one that falls silent.

The worker's event loop sends it. A loop that no longer runs (a process that was stopped, native
code that keeps Python's lock) can renew no lease and end no hanging run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from collections.abc import AsyncIterator

from workers.background import background_task

KEEPALIVE_S = 1.0
SILENT_S = 30.0
"""A worker that was heard once and then not for so long is silent. Far longer than a busy machine
keeps a loop from running."""


@contextlib.asynccontextmanager
async def sending_keepalive(fd: int | None) -> AsyncIterator[None]:
    """Send the keepalive to an inherited file descriptor while the context is entered, and close
    that at the end; without one, nothing is sent."""
    if fd is None:
        yield
        return
    os.set_inheritable(fd, False)
    os.set_blocking(fd, False)
    try:
        async with background_task(_send(fd)):
            yield
    finally:
        os.close(fd)


async def _send(fd: int) -> None:
    while True:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # the pool is slow, or gone
            os.write(fd, b".")
        await asyncio.sleep(KEEPALIVE_S)


class KeepaliveReader:
    """The pool's end of the keepalive of one process.

    `sending` is the descriptor that the process inherits; `sent` is called once it has."""

    def __init__(self) -> None:
        self._receiving, self.sending = os.pipe()

    def sent(self) -> None:
        """Close our copy of the sending end, so that its end is noticed."""
        os.close(self.sending)

    def close(self) -> None:
        """Close the receiving end."""
        os.close(self._receiving)

    def falls_silent(self) -> bool:
        """Wait until the process is silent, and return True; or until its end of the keepalive is
        closed, by itself or with the process, and return False.

        A process that was never heard sends no keepalive, and is not silent. Missed bytes are
        counted, and not the time, during which the pool may have been stopped as well.
        """
        poller, missed = select.poll(), -1
        poller.register(self._receiving, select.POLLIN)
        while missed * KEEPALIVE_S < SILENT_S:
            if poller.poll(KEEPALIVE_S * 1e3):
                if not os.read(self._receiving, 4096):
                    return False
                missed = 0
            elif missed >= 0:
                missed += 1
        return True
