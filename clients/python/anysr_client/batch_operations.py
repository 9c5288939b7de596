"""What can be asked of the service about batches, as flows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from anysr_client.answers import BatchState, SourcesPage, SourceState
from anysr_client.calls import Call, quoted
from anysr_client.exchange import Terms
from anysr_client.operations import read
from anysr_client.options import BUDGET, Options, query_of
from anysr_client.steps import Flow
from anysr_client.uploads import Url, upload_of
from anysr_client.watching import batch_of, state_of, watched

PAGE = 1000
"""Sources that are asked for at once."""


@dataclass(frozen=True)
class Source:
    """One picture of a batch, by its address."""

    image_url: str
    name: str | None = None
    """What its caller calls it; it comes back with the source."""
    result: str | None = None
    """Where its picture is put: `s3://bucket/key`."""
    result_url: str | None = None
    """URL to which its picture is PUT, such as a presigned one."""


Address = str | Url | Source
"""How callers name a picture of a batch: `https://host/path`, `s3://bucket/key`, or with more."""


@dataclass(frozen=True)
class Order:
    """What a caller asks of a batch."""

    sources: Iterable[Address]
    options: Options
    webhook_url: str | None = None
    key: str | None = None
    """The caller's idempotency key; without one the call has its own."""

    def call(self) -> Call:
        """Return the request, which is the same each time: a refusal leaves no batch, and by its
        key a repeated one finds the batch that there may be. Raises ValueError for a key that no
        header can hold, TypeError for an unknown option."""
        body: dict[str, Any] = {
            "sources": [_members(source) for source in self.sources],
            "options": self._wishes(),
        }
        if self.webhook_url is not None:
            body["webhook_url"] = self.webhook_url
        upload = upload_of(json.dumps(body).encode())
        assert upload is not None
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(upload.size),
            "Idempotency-Key": quoted(self.key or str(uuid.uuid4())),
        }
        return Call("POST", "/batches", headers=headers, upload=upload)

    def _wishes(self) -> dict[str, str]:
        budget_s = self.options.get("budget")
        budget = {} if budget_s is None else {BUDGET: f"{1e3 * budget_s:.3f}"}
        return query_of(self.options, Options) | budget


def _members(address: Address) -> dict[str, str]:
    if isinstance(address, Source):
        return {name: value for name, value in asdict(address).items() if value is not None}
    return {"image_url": address.text if isinstance(address, Url) else address}


def submit(order: Order, terms: Terms) -> Flow[BatchState]:
    """Return the batch of an order."""
    return read(BatchState, order.call(), terms)


def state(batch_id: str, terms: Terms) -> Flow[BatchState]:
    """Return a batch as it is now."""
    return state_of(batch_of(batch_id), terms)


def watch(batch_id: str, terms: Terms) -> Flow[BatchState]:
    """Show a batch until it has ended, and return it."""
    return watched(batch_of(batch_id), terms)


def cancel(batch_id: str, terms: Terms) -> Flow[BatchState]:
    """Withdraw what is left of a batch, and return it."""
    return read(BatchState, Call("DELETE", batch_of(batch_id).path), terms)


def sources(batch_id: str, terms: Terms) -> Flow[tuple[SourceState, ...]]:
    """Return all sources of a batch as they are now."""
    found: list[SourceState] = []
    cursor: int | None = 0
    while cursor is not None:
        query = {"cursor": str(cursor), "limit": str(PAGE)}
        call = Call("GET", f"{batch_of(batch_id).path}/items", query)
        page = yield from read(SourcesPage, call, terms)
        found += page.items
        cursor = page.next_cursor
    return tuple(found)
