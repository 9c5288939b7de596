"""A job of the service, for callers that await."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from anysr_client.answers import JobState
from anysr_client.async_driver import AsyncDriver
from anysr_client.deadline import Deadline, When, deadline_of
from anysr_client.exchange import Terms
from anysr_client.operations import Operations
from anysr_client.steps import Flow
from anysr_client.upscaled import Upscaled


class AsyncJob:
    """A job. It outlives this object and the client: its `id` finds it again.

    Each method takes a deadline; the one with which the job was submitted stands in for it.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        operations: Operations,
        job_id: str,
        last: JobState | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self._driver = driver
        self._operations = operations
        self._deadline = deadline
        self.id = job_id
        self.last = last
        """The job as it was last seen; None before the first call."""

    async def state(self, *, deadline: When = None) -> JobState:
        """Return the job as it is now."""
        return await self._seen(self._operations.state(self.id, self._terms(deadline)))

    async def events(self, *, deadline: When = None) -> AsyncGenerator[JobState, None]:
        """Yield the job at once and at each change of status or progress, until it has ended."""
        flow = self._operations.watch(self.id, self._terms(deadline))
        async with contextlib.aclosing(self._driver.states(flow)) as states:
            async for state in states:
                self.last = state
                yield state

    async def wait(self, *, deadline: When = None) -> JobState:
        """Return the job once it has ended, however it did. Raises DeadlineExceeded; the job then
        goes on."""
        return await self._seen(self._operations.watch(self.id, self._terms(deadline)))

    async def result(self, *, deadline: When = None) -> Upscaled:
        """Return the picture, once the job has ended. Raises the job's error if it failed."""
        return await self._driver.run(self._operations.result(self.id, self._terms(deadline)))

    async def cancel(self, *, deadline: When = None) -> JobState:
        """Cancel the job, and return it; one that has ended does not change."""
        return await self._seen(self._operations.cancel(self.id, self._terms(deadline)))

    async def _seen(self, flow: Flow[JobState]) -> JobState:
        self.last = await self._driver.run(flow)
        return self.last

    def _terms(self, deadline: When) -> Terms:
        return Terms(self._operations.retries, deadline_of(deadline) or self._deadline)
