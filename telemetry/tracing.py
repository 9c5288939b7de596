"""Selects the tracing of a process: none until OTEL_EXPORTER_OTLP_ENDPOINT is set.

All OTEL_ variables of the OpenTelemetry SDK then apply.
"""

from __future__ import annotations

from collections.abc import Mapping

from telemetry.spans import Tracing, Untraced

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
DISABLED = "OTEL_SDK_DISABLED"


class TracingMissing(RuntimeError):
    """Tracing is enabled, but its libraries are not installed."""


def tracing_of(environ: Mapping[str, str], service: str) -> Tracing:
    """Return the tracing of a service, by the OTEL_ variables.

    Raises TracingMissing, whose message says what to do.
    """
    wanted = any(environ.get(name) for name in ENDPOINTS)
    if not wanted or environ.get(DISABLED, "").lower() == "true":
        return Untraced()
    try:
        from telemetry.otlp import OtlpTracing
    except ModuleNotFoundError as error:
        raise TracingMissing(
            f"{ENDPOINTS[0]} is set, but {error.name} is not installed. Unset it, or run: "
            'pip install -e ".[cpu,tracing]"'
        ) from error
    return OtlpTracing(service)
