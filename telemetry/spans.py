"""Spans: what a process did for a request, from when to when.

A process tells one span per request or run, made of stages that follow each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from telemetry.trace_context import TraceContext, new_context

Role = Literal["server", "consumer"]
"""`server` answers a caller; `consumer` takes work from a queue."""

Attribute = str | int | float | bool


class Span(Protocol):
    """Something that is going on. `context` names it to whom the work is handed on."""

    @property
    def context(self) -> TraceContext:
        """The span's name."""

    def enter(self, stage: str, at_s: float | None = None) -> None:
        """Begin a stage now, or at a moment of time.time(); the one before ends with that."""

    def end(self, name: str, facts: Mapping[str, Attribute], error: str | None = None) -> None:
        """End the span and its last stage; `error` is the code of what went wrong."""


class Tracing(Protocol):
    """Where spans go to."""

    def begin(
        self, name: str, role: Role, parent: TraceContext | None, at_s: float | None = None
    ) -> Span:
        """Begin a span now, or at a moment of time.time(), under its parent or as a trace."""

    def close(self) -> None:
        """Send what is left; may take seconds."""


class _UntracedSpan:
    """Hands the parent's name on, so that a trace goes on beyond a process that records none."""

    def __init__(self, context: TraceContext) -> None:
        self.context = context

    def enter(self, stage: str, at_s: float | None = None) -> None:
        pass

    def end(self, name: str, facts: Mapping[str, Attribute], error: str | None = None) -> None:
        pass


class Untraced:
    """Records nothing, and names traces all the same."""

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
