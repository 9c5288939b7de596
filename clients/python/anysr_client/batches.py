"""Many pictures, several at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass

from anysr_client.errors import AnysrError
from anysr_client.uploads import Picture
from anysr_client.upscaled import Upscaled

AT_ONCE = 4
"""Pictures at once where the caller names no number."""


@dataclass(frozen=True)
class BatchItem:
    """What became of one picture of a batch."""

    index: int
    """Its place in the sources, from 0."""
    source: Picture
    upscaled: Upscaled | None = None
    error: AnysrError | OSError | None = None

    def result(self) -> Upscaled:
        """Return the picture. Raises its error."""
        if self.error is not None:
            raise self.error
        assert self.upscaled is not None
        return self.upscaled


def check_concurrency(concurrency: int) -> None:
    """Raise ValueError for a number of pictures with which none would be made."""
    if concurrency < 1:
        raise ValueError(f"concurrency must be 1 or more, got {concurrency}")


def run_batch(
    upscale: Callable[[Picture], Upscaled], sources: Iterable[Picture], concurrency: int
) -> Iterator[BatchItem]:
    """Yield each picture as soon as it is made; those that are ended early are waited for."""

    def one(index: int, source: Picture) -> BatchItem:
        try:
            return BatchItem(index, source, upscale(source))
        except (AnysrError, OSError) as error:
            return BatchItem(index, source, error=error)

    numbered = enumerate(sources)
    running: set[futures.Future[BatchItem]] = set()
    with futures.ThreadPoolExecutor(concurrency) as pool:
        while True:
            for index, source in itertools.islice(numbered, concurrency - len(running)):
                running.add(pool.submit(one, index, source))
            if not running:
                return
            done, running = futures.wait(running, return_when=futures.FIRST_COMPLETED)
            yield from (future.result() for future in done)


async def run_batch_async(
    upscale: Callable[[Picture], Awaitable[Upscaled]], sources: Iterable[Picture], concurrency: int
) -> AsyncGenerator[BatchItem, None]:
    """Yield each picture as soon as it is made; those that are ended early are cancelled."""

    async def one(index: int, source: Picture) -> BatchItem:
        try:
            return BatchItem(index, source, await upscale(source))
        except (AnysrError, OSError) as error:
            return BatchItem(index, source, error=error)

    numbered = enumerate(sources)
    running: set[asyncio.Task[BatchItem]] = set()
    try:
        while True:
            for index, source in itertools.islice(numbered, concurrency - len(running)):
                running.add(asyncio.create_task(one(index, source)))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
