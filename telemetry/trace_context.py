"""W3C trace context: identity of a trace, from the caller to the worker.

It exists whether spans are recorded or not, because log lines and exemplars carry the trace id.
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

VERSION = "00"
SAMPLED = 0x01
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True)
class TraceContext:
    """Identity of one span. Ids are lower-case hexadecimal and not all zeros."""

    trace_id: str
    """32 digits."""
    span_id: str
    """16 digits."""
    sampled: bool
    """Whether the trace is recorded, as its first process decided."""

    @property
    def traceparent(self) -> str:
        """Value of the header `traceparent`."""
        return f"{VERSION}-{self.trace_id}-{self.span_id}-{SAMPLED if self.sampled else 0:02x}"


def read_traceparent(value: str | None) -> TraceContext | None:
    """Return the context in a `traceparent`; None if it is malformed.

    Fields that later versions append are ignored.
    """
    match = _FORM.fullmatch((value or "").strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == VERSION and more):
        return None
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & SAMPLED))


def new_context() -> TraceContext:
    """Return the context of a new trace that is not recorded."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8), sampled=False)


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace id, for a log line or an exemplar; None if there is none."""
    context = read_traceparent(traceparent)
    return None if context is None else context.trace_id
