"""A batch of the service, for callers that block."""

from __future__ import annotations

from collections.abc import Iterator

from anysr_client import batch_operations
from anysr_client.answers import BatchState, SourceState
from anysr_client.deadline import When, deadline_of
from anysr_client.driver import Driver
from anysr_client.exchange import Terms
from anysr_client.operations import Operations
from anysr_client.steps import Flow
from anysr_client.upscaled import Upscaled


class Batch:
    """A batch. It outlives this object and the client: its `id` finds it again."""

    def __init__(
        self,
        driver: Driver,
        operations: Operations,
        batch_id: str,
        last: BatchState | None = None,
    ) -> None:
        self._driver = driver
        self._operations = operations
        self.id = batch_id
        self.last = last
        """The batch as it was last seen; None before the first call."""

    def state(self, *, deadline: When = None) -> BatchState:
        """Return the batch as it is now."""
        return self._seen(batch_operations.state(self.id, self._terms(deadline)))

    def events(self, *, deadline: When = None) -> Iterator[BatchState]:
        """Yield the batch at once and at each change, until it has ended."""
        flow = batch_operations.watch(self.id, self._terms(deadline))
        for state in self._driver.states(flow):
            self.last = state
            yield state

    def wait(self, *, deadline: When = None) -> BatchState:
        """Return the batch once it has ended. Raises DeadlineExceeded; the batch then goes on."""
        return self._seen(batch_operations.watch(self.id, self._terms(deadline)))

    def sources(self, *, deadline: When = None) -> tuple[SourceState, ...]:
        """Return all sources as they are now, in the order in which they were given."""
        return self._driver.run(batch_operations.sources(self.id, self._terms(deadline)))

    def result(self, source: SourceState, *, deadline: When = None) -> Upscaled:
        """Return the picture of a source, once its job has ended. Raises its error if it failed,
        ValueError for a source that has not begun."""
        return self._driver.run(self._operations.result(source.begun_job_id, self._terms(deadline)))

    def cancel(self, *, deadline: When = None) -> BatchState:
        """Withdraw what is left of the batch, and return it; what has ended does not change."""
        return self._seen(batch_operations.cancel(self.id, self._terms(deadline)))

    def _seen(self, flow: Flow[BatchState]) -> BatchState:
        self.last = self._driver.run(flow)
        return self.last

    def _terms(self, deadline: When) -> Terms:
        return Terms(self._operations.retries, deadline_of(deadline))
