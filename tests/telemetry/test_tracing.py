"""Spans reach a real OTLP/HTTP collector, and a trace goes from the gateway through the queue to
the worker, each a process of its own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from telemetry.spans import Untraced
from telemetry.trace_context import TraceContext, read_traceparent
from telemetry.tracing import TracingMissing, tracing_of
from tests.support.pictures import draw_jpeg
from tests.support.service import running_service
from tests.support.waiting import PATIENCE_S, eventually_sync

collector_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    reason="the extra tracing is missing",
)

CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True)
GATEWAY, WORKER = "anysr-gateway", "anysr-worker"
CLOCKS_NS = 50_000_000
"""Tolerance between the clocks of two processes and of the queue."""


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as the collector received it."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    kind: int
    failed: bool
    attributes: dict[str, str | int | float] = field(hash=False)


class Collector:
    """A tiny OTLP/HTTP collector."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self._news = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                collector.take(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, body: bytes) -> None:
        request = collector_service.ExportTraceServiceRequest.FromString(body)
        with self._news:
            for resource in request.resource_spans:
                service = attributes_of(resource.resource)["service.name"]
                for scope in resource.scope_spans:
                    self.spans += [received_span(str(service), span) for span in scope.spans]
            self._news.notify_all()

    def of(self, trace_id: str, count: int) -> list[ReceivedSpan]:
        """Return the spans of a trace, once there are `count`."""
        with self._news:
            self._news.wait_for(lambda: len(self._of(trace_id)) >= count, PATIENCE_S)
            return sorted(self._of(trace_id), key=lambda span: span.start_ns)

    def _of(self, trace_id: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.trace_id == trace_id]


def attributes_of(owner: object) -> dict[str, str | int | float]:
    values = {}
    for pair in owner.attributes:  # type: ignore[attr-defined]
        values[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return values


def received_span(service: str, span: object) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,  # type: ignore[attr-defined]
        trace_id=span.trace_id.hex(),  # type: ignore[attr-defined]
        span_id=span.span_id.hex(),  # type: ignore[attr-defined]
        parent_id=span.parent_span_id.hex(),  # type: ignore[attr-defined]
        start_ns=span.start_time_unix_nano,  # type: ignore[attr-defined]
        end_ns=span.end_time_unix_nano,  # type: ignore[attr-defined]
        kind=span.kind,  # type: ignore[attr-defined]
        failed=span.status.code == 2,  # type: ignore[attr-defined]
        attributes=attributes_of(span),
    )


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.05,))
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


@pytest.fixture(scope="module")
def client(
    collector: Collector,
    cached_costs: None,  # noqa: ARG001  they are there before it starts
) -> Iterator[httpx.Client]:
    """A client of a real service, gateway and worker, that sends spans to the collector."""
    with (
        running_service(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="50"
        ) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


def upscale(
    client: httpx.Client, picture: bytes, traceparent: str | None, path: str = "/upscale"
) -> httpx.Response:
    headers = {"Content-Type": "image/jpeg"} | ({"traceparent": traceparent} if traceparent else {})
    return client.post(path, params={"scale": 2}, content=picture, headers=headers)


def children_of(parent: ReceivedSpan, spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    return [span for span in spans if span.parent_id == parent.span_id]


def test_one_trace_goes_from_the_caller_through_gateway_and_queue_to_the_worker(
    client: httpx.Client, collector: Collector
) -> None:
    answer = upscale(client, draw_jpeg(64, 64), CALLER.traceparent)
    assert answer.is_success
    spans = collector.of(CALLER.trace_id, 12)
    [request] = [span for span in spans if span.parent_id == CALLER.span_id]
    assert (request.service, request.name, request.kind) == (GATEWAY, "POST /upscale", 2)
    below = children_of(request, spans)
    [run] = [span for span in below if span.service == WORKER]
    assert (run.name, run.kind) == ("run", 5)
    stages = [span for span in below if span.service == GATEWAY]
    assert [span.name for span in stages] == ["upload", "admission", "wait", "answer"]
    of_run = children_of(run, spans)
    names = ["queue", "bind", "decode", "network", "encode", "deliver"]
    assert [span.name for span in of_run] == names
    assert len(spans) == 2 + 4 + 6
    for parent, parts in ((request, stages), (run, of_run)):
        for before, after in itertools.pairwise(parts):
            assert before.end_ns == after.start_ns, "stages follow each other without a gap"
        assert parts[-1].end_ns == parent.end_ns
    admission, wait = stages[1], stages[2]
    assert admission.start_ns - CLOCKS_NS <= run.start_ns <= wait.end_ns + CLOCKS_NS
    assert of_run[-2].end_ns <= request.end_ns + CLOCKS_NS
    network_ms = float(answer.headers["Server-Timing"].split("network;dur=")[1].split(",")[0])
    assert (of_run[3].end_ns - of_run[3].start_ns) / 1e6 == pytest.approx(network_ms, abs=0.2)
    assert not any(span.failed for span in spans)
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["anysr.request_id"] == answer.headers["x-request-id"]
    assert run.attributes["anysr.request_id"] == answer.headers["x-request-id"]
    for name in ("model", "width", "reason"):
        assert run.attributes[f"anysr.{name}"] == request.attributes[f"anysr.{name}"]


def test_a_run_that_fails_is_an_error_in_its_stage(
    client: httpx.Client, collector: Collector
) -> None:
    trace = TraceContext("1" * 32, "2" * 16, True)
    broken = draw_jpeg(64, 64)[:700]
    assert upscale(client, broken, trace.traceparent).status_code == 400
    spans = collector.of(trace.trace_id, 7)
    failed = {(span.service, span.name) for span in spans if span.failed}
    assert failed == {(WORKER, "run"), (WORKER, "decode")}
    [run] = [span for span in spans if span.name == "run"]
    assert run.attributes["error.type"] == "corrupt_image"
    [request] = [span for span in spans if span.name == "POST /upscale"]
    assert request.attributes["anysr.reason"] == "corrupt_image"


def test_a_caller_without_a_trace_gets_one_of_its_own(
    client: httpx.Client, collector: Collector
) -> None:
    job = upscale(client, draw_jpeg(64, 64), None, "/jobs").json()
    with client.stream("GET", f"/jobs/{job['id']}/events") as events:
        for _ in events.iter_lines():
            pass

    def runs() -> list[ReceivedSpan]:
        spans = [s for s in collector.spans if s.attributes.get("anysr.request_id") == job["id"]]
        return [span for span in spans if span.name == "run"]

    eventually_sync(runs, "the span of the run")
    [run] = runs()
    spans = collector.of(run.trace_id, 11)
    [root] = [span for span in spans if span.name == "POST /jobs"]
    assert (root.parent_id, run.parent_id) == ("", root.span_id)


def test_an_unsampled_trace_of_the_caller_is_not_sent(
    client: httpx.Client, collector: Collector
) -> None:
    unsampled = TraceContext("3" * 32, "4" * 16, False)
    sampled = TraceContext("5" * 32, "6" * 16, True)
    for trace in (unsampled, sampled):
        assert upscale(client, draw_jpeg(64, 64), trace.traceparent).is_success
    assert len(collector.of(sampled.trace_id, 12)) == 12
    assert collector.of(unsampled.trace_id, 0) == []


def test_health_and_metrics_are_not_traced(client: httpx.Client, collector: Collector) -> None:
    for path in ("/health/live", "/metrics"):
        trace = TraceContext("7" * 32, "8" * 16, True)
        client.get(path, headers={"traceparent": trace.traceparent})
    after = TraceContext("9" * 32, "8" * 16, True)
    client.get("/models", headers={"traceparent": after.traceparent})
    assert [span.name for span in collector.of(after.trace_id, 1)] == ["GET /models"]
    assert collector.of("7" * 32, 0) == []


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("OTEL_SERVICE_NAME", "mine", "mine"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=ours,zone=a", "ours"),
        ("OTEL_RESOURCE_ATTRIBUTES", "zone=a", GATEWAY),
    ],
)
def test_otel_service_name_sets_the_services_name(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    tracing = tracing_of(os.environ, GATEWAY)
    span = tracing.begin("named", "server", None)
    span.end("named", {})
    tracing.close()
    [sent] = collector.of(span.context.trace_id, 1)
    assert sent.service == name


def test_answers_do_not_depend_on_the_collector() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    script = (
        "import os, time\n"
        "from telemetry.tracing import tracing_of\n"
        "tracing = tracing_of(os.environ, 'x')\n"
        "span = tracing.begin('a', 'server', None)\n"
        "span.enter('b')\n"
        "span.end('a', {})\n"
        "print(span.context.trace_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert len(done.stdout.strip()) == 32


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_tracing_is_off_by_default(environ: dict[str, str]) -> None:
    tracing = tracing_of(environ, "x")
    assert isinstance(tracing, Untraced)
    assert tracing.begin("a", "server", CALLER).context == CALLER, "the trace goes on beyond us"
    own = tracing.begin("a", "server", None).context
    assert read_traceparent(own.traceparent) == own
    assert not own.sampled


def test_missing_opentelemetry_is_an_error_only_with_tracing_enabled() -> None:
    script = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "import service.main, workers.main\n"
        "from telemetry.tracing import TracingMissing, tracing_of\n"
        "tracing_of({}, 'x')\n"
        "try: tracing_of({'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://a'}, 'x')\n"
        "except TracingMissing as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert 'pip install -e ".[cpu,tracing]"' in done.stdout
    assert issubclass(TracingMissing, RuntimeError)
