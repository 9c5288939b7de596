"""Messages: what a webhook says of an ended job or batch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.batch import BatchView
from jobs.queue import Delivery
from service.answers.ended import answer_of


@dataclass(frozen=True)
class Message:
    """A message as every attempt sends it."""

    id: str
    """The same in all attempts, by which a receiver knows one that it has had already. Once a
    picture that had been given up is sent again, the job has news, and its message another id."""
    body: bytes
    """JSON."""


def message_of(delivery: Delivery, root_path: str) -> Message:
    """Return the message of a job or batch that has ended. It depends on its record alone, which
    does not change any more."""
    view = delivery.view
    ended = datetime.fromtimestamp((view.finished_ms or 0.0) / 1e3, UTC)
    content = {
        "type": "batch.finished" if isinstance(view, BatchView) else f"job.{view.status.value}",
        "timestamp": ended.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": answer_of(view, root_path).model_dump(mode="json", exclude={"webhook"}),
    }
    body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    given_up = view.destination is not None and view.destination.dead_ms is not None
    return Message(f"msg_{delivery.id}{'_given_up' if given_up else ''}", body)
