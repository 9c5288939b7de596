"""Spans by the OpenTelemetry SDK, sent over OTLP/HTTP. Imported only when tracing is enabled."""

from __future__ import annotations

import time
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace import Span as OtelSpan

from telemetry.spans import Attribute, Role, Span
from telemetry.trace_context import TraceContext

KINDS: Mapping[Role, SpanKind] = {"server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER}


class OtlpTracing:
    """`telemetry.spans.Tracing` by the SDK; OTEL_ variables set sampler, limits and exporter.

    A background thread sends spans in batches, and drops them after some failed retries.
    """

    def __init__(self, service: str) -> None:
        named = SERVICE_NAME in OTELResourceDetector().detect().attributes
        resource = Resource.create({} if named else {SERVICE_NAME: service})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("anysr")

    def begin(
        self, name: str, role: Role, parent: TraceContext | None, at_s: float | None = None
    ) -> Span:
        """Begin a span; below a parent that is not sampled, one that is not recorded."""
        context = Context() if parent is None else _within(NonRecordingSpan(_remote(parent)))
        span = self._tracer.start_span(name, context, KINDS[role], start_time=_ns(at_s))
        return _StagedSpan(self._tracer, span)

    def close(self) -> None:
        """Send the remaining spans, within OTEL_BSP_EXPORT_TIMEOUT."""
        self._provider.shutdown()


class _StagedSpan:
    """A span with child spans for its stages, one at a time."""

    def __init__(self, tracer: trace.Tracer, span: OtelSpan) -> None:
        self._tracer = tracer
        self._span = span
        self._within = _within(span)
        self._stage: OtelSpan | None = None

    @property
    def context(self) -> TraceContext:
        named = self._span.get_span_context()
        trace_id = trace.format_trace_id(named.trace_id)
        return TraceContext(
            trace_id, trace.format_span_id(named.span_id), named.trace_flags.sampled
        )

    def enter(self, stage: str, at_s: float | None = None) -> None:
        at_ns = _ns(at_s) or time.time_ns()
        self._leave(at_ns)
        self._stage = self._tracer.start_span(stage, self._within, start_time=at_ns)

    def end(self, name: str, facts: Mapping[str, Attribute], error: str | None = None) -> None:
        at_ns = time.time_ns()
        if error is not None:
            self._span.set_attribute("error.type", error)
            for span in (self._span, self._stage):
                if span is not None:
                    span.set_status(Status(StatusCode.ERROR, error))
        self._leave(at_ns)
        self._span.update_name(name)
        self._span.set_attributes(facts)
        self._span.end(at_ns)

    def _leave(self, at_ns: int) -> None:
        if self._stage is not None:
            self._stage.end(at_ns)
            self._stage = None


def _within(span: OtelSpan) -> Context:
    return trace.set_span_in_context(span, Context())


def _remote(parent: TraceContext) -> SpanContext:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if parent.sampled else 0)
    return SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, flags)


def _ns(at_s: float | None) -> int | None:
    return None if at_s is None else round(at_s * 1e9)
