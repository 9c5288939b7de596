"""A job of the service, for callers that block."""

from __future__ import annotations

from collections.abc import Iterator

from anysr_client.answers import JobState
from anysr_client.deadline import Deadline, When, deadline_of
from anysr_client.driver import Driver
from anysr_client.exchange import Terms
from anysr_client.operations import Operations
from anysr_client.steps import Flow
from anysr_client.upscaled import Upscaled


class Job:
    """A job. It outlives this object and the client: its `id` finds it again.

    Each method takes a deadline; the one with which the job was submitted stands in for it.
    """

    def __init__(
        self,
        driver: Driver,
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

    def state(self, *, deadline: When = None) -> JobState:
        """Return the job as it is now."""
        return self._seen(self._operations.state(self.id, self._terms(deadline)))

    def events(self, *, deadline: When = None) -> Iterator[JobState]:
        """Yield the job at once and at each change of status or progress, until it has ended."""
        for state in self._driver.states(self._operations.watch(self.id, self._terms(deadline))):
            self.last = state
            yield state

    def wait(self, *, deadline: When = None) -> JobState:
        """Return the job once it has ended, however it did. Raises DeadlineExceeded; the job then
        goes on."""
        return self._seen(self._operations.watch(self.id, self._terms(deadline)))

    def result(self, *, deadline: When = None) -> Upscaled:
        """Return the picture, once the job has ended. Raises the job's error if it failed."""
        return self._driver.run(self._operations.result(self.id, self._terms(deadline)))

    def cancel(self, *, deadline: When = None) -> JobState:
        """Cancel the job, and return it; one that has ended does not change."""
        return self._seen(self._operations.cancel(self.id, self._terms(deadline)))

    def _seen(self, flow: Flow[JobState]) -> JobState:
        self.last = self._driver.run(flow)
        return self.last

    def _terms(self, deadline: When) -> Terms:
        return Terms(self._operations.retries, deadline_of(deadline) or self._deadline)
