"""Spans: what a process did for a request, and when.

A process records one span per request or run, divided into consecutive stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from telemetry.trace_context import TraceContext, new_context

Role = Literal["server", "consumer"]
"""`server` answers a caller; `consumer` claims jobs from the queue."""

Attribute = str | int | float | bool


class Span(Protocol):
    """A span in progress."""

    @property
    def context(self) -> TraceContext:
        """Identity of the span, to pass on to other processes."""

    def enter(self, stage: str, at_s: float | None = None) -> None:
        """End the current stage and begin another, now or at `at_s` by time.time()."""

    def end(self, name: str, facts: Mapping[str, Attribute], error: str | None = None) -> None:
        """End the span and its last stage; `error` is the error code of a failure."""


class Tracing(Protocol):
    """Records spans."""

    def begin(
        self, name: str, role: Role, parent: TraceContext | None, at_s: float | None = None
    ) -> Span:
        """Begin a span, now or at `at_s` by time.time(), below `parent` or in a new trace."""

    def close(self) -> None:
        """Send the remaining spans; may take seconds."""


class _UntracedSpan:
    """Passes the parent's context on, so that a trace continues behind this process."""

    def __init__(self, context: TraceContext) -> None:
        self.context = context

    def enter(self, stage: str, at_s: float | None = None) -> None:
        pass

    def end(self, name: str, facts: Mapping[str, Attribute], error: str | None = None) -> None:
        pass


class Untraced:
    """Records nothing, but gives each request a trace id."""

    def begin(
        self,
        name: str,  # noqa: ARG002 - as Tracing has it
        role: Role,  # noqa: ARG002
        parent: TraceContext | None,
        at_s: float | None = None,  # noqa: ARG002
    ) -> Span:
        return _UntracedSpan(parent or new_context())

    def close(self) -> None:
        pass
